"""The addresses of weights and pictures, and what is known about each file.

A SHA-256 is here only if somebody has published it. A file without one is checked by its announced
length, by the archive's own checksum, and by the network's weight map.
"""

from typing import NamedTuple


class Archive(NamedTuple):
    """A file at a public address."""

    url: str
    size: int | None = None  # bytes, if known
    sha256: str | None = None  # hexadecimal, if known

    @property
    def name(self) -> str:
        """The file's name, without folders."""
        return self.url.rpartition("/")[2]


class Graph(NamedTuple):
    """One network in the study's archive of weights."""

    member: str  # its file name in the archive, without folders
    parameters: int  # float32 numbers, which make up nearly all of the file
    sha256: str | None = None  # of the member, if known.


# Addresses and member names are from the study's code and README: setup_imagenet.py in
# github.com/huanzhang12/Adversarial_Survey at 353ef69. Addresses begin with http there. Sizes and
# hashes have one source: github.com/imjbassi/transferability-of-adversarial-attacks at b5f1b7b013
# (24 September 2026).
STUDY = {
    "weights": Archive(
        "https://download.huan-zhang.com/models/adv/imagenet/frozen_imagenet_models_v1.1.tar.gz",
        2_828_941_127,
        "493533fb8c4ed957e5ea575833310e61512a177571fb352692dc4992dec891a7",
    ),
    "pictures": Archive(
        "https://download.huan-zhang.com/datasets/adv/img.tar.gz",
        6_664_105_290,
        "217c3776db6d53ffca5b232703def0c38221a899d7f1205b4eb5730c7d3a983e",
    ),
}
PICTURES = 50_000
"""The number of pictures in the study's archive: ILSVRC2012's validation set, renamed."""

RERUN = Archive(  # manifest.json in the same folder has the hash
    "https://raw.githubusercontent.com/imjbassi/transferability-of-adversarial-attacks/"
    "b5f1b7b013d74fce5481b509e995890583b6fffc/survey/recomputation/su18_original/predictions.jsonl",
    sha256="5d85036c9d794443e233e09ad329da5ba5332e3a3e90b5b54b6edd35ed936be2",
)
"""A third party's re-run of the study's code on one pair of networks, image by image."""

GRAPHS = {
    "alexnet": Graph("alexnet_frozen.pb", 60_965_224),
    "vgg_16": Graph("frozen_vgg_16.pb", 138_357_544),
    "vgg_19": Graph("frozen_vgg_19.pb", 143_667_240),
    "inception_v1": Graph(
        "frozen_inception_v1.pb",
        6_633_209,
        "228434483808c586b7d543b95babb3ebef6dba7007dd42f05aae8d5dbde6ea75",
    ),
    "inception_v2": Graph(
        "frozen_inception_v2.pb",
        11_199_137,
        "12afd9672642783d5dc5d29d27e19ba624b1d251ac958013e09aeddc873e2181",
    ),
    "inception_v3": Graph("frozen_inception_v3.pb", 23_853_833),
    "inception_v4": Graph("frozen_inception_v4.pb", 42_712_937),
    "inception_resnet_v2": Graph("frozen_inception_resnet_v2.pb", 55_875_273),
    "resnet_v2_50": Graph("frozen_resnet_v2_50.pb", 25_615_849),
    "resnet_v2_101": Graph("frozen_resnet_v2_101.pb", 44_677_609),
    "resnet_v2_152": Graph("frozen_resnet_v2_152.pb", 60_382_697),
    "densenet121_k32": Graph("densenet121_k32_frozen.pb", 8_062_504),
    "densenet169_k32": Graph("densenet169_k32_frozen.pb", 14_307_880),
    "densenet161_k48": Graph("densenet161_k48_frozen.pb", 28_900_936),
    "mobilenet_v1_025": Graph("frozen_mobilenet_v1_025.pb", 475_801),
    "mobilenet_v1_050": Graph("frozen_mobilenet_v1_050.pb", 1_343_049),
    "mobilenet_v1_100": Graph("frozen_mobilenet_v1_100.pb", 4_254_889),
    "nasnet_large": Graph("frozen_nasnet_large.pb", 88_953_851),
}

# TF-Slim's own table has download.tensorflow.org over http. This is the same storage over https
# (github.com/tensorflow/models, research/slim/README.md of 2018, which lists NASNet there).
_TENSORFLOW = "https://storage.googleapis.com/download.tensorflow.org/models/"
_MOBILENETS = _TENSORFLOW + "mobilenet_v1_2018_02_22/"  # hashes are from Yocto recipes

SINGLE = {
    "alexnet": Archive(  # github.com/tensorflow/lucid: the authors' conversion, a bare graph
        "https://storage.googleapis.com/modelzoo/vision/other_models/AlexNet.pb"
    ),
    "vgg_16": Archive(_TENSORFLOW + "vgg_16_2016_08_28.tar.gz"),
    "vgg_19": Archive(_TENSORFLOW + "vgg_19_2016_08_28.tar.gz"),
    "inception_v1": Archive(  # open_model_zoo's history of 2021 has the hashes of three Inceptions
        _TENSORFLOW + "inception_v1_2016_08_28.tar.gz",
        sha256="7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
    ),
    "inception_v2": Archive(
        _TENSORFLOW + "inception_v2_2016_08_28.tar.gz",
        sha256="3b9d269984402003d8330affc4e1463c0b4cfd536339ad12446a48d72477480a",
    ),
    "inception_v3": Archive(_TENSORFLOW + "inception_v3_2016_08_28.tar.gz"),
    "inception_v4": Archive(
        _TENSORFLOW + "inception_v4_2016_09_09.tar.gz",
        sha256="272a2b24f68b2e51f3081479df075dd62b019ccda630e998fb7f6cf314c0f304",
    ),
    "inception_resnet_v2": Archive(_TENSORFLOW + "inception_resnet_v2_2016_08_30.tar.gz"),
    "resnet_v2_50": Archive(_TENSORFLOW + "resnet_v2_50_2017_04_14.tar.gz"),
    "resnet_v2_101": Archive(_TENSORFLOW + "resnet_v2_101_2017_04_14.tar.gz"),
    "resnet_v2_152": Archive(_TENSORFLOW + "resnet_v2_152_2017_04_14.tar.gz"),
    "densenet161_k48": Archive(  # from github.com/pudae/tensorflow-densenet, stored by OpenVINO
        "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2021.4/"
        "densenet-161-tf/tf-densenet161.tar.gz",
        sha256="f4745258b9fe2f234711a70e4192368f169bf0c1956087a210b08270dbe96ca7",
    ),
    "mobilenet_v1_025": Archive(
        _MOBILENETS + "mobilenet_v1_0.25_128.tgz",
        sha256="34c52de7562259f66399993ef5ea222cc625d2e6f6f886a01fdc6cc99a0c7ee6",
    ),
    "mobilenet_v1_050": Archive(
        _MOBILENETS + "mobilenet_v1_0.5_160.tgz",
        sha256="fb01b76ca1fb053e5f98d297e21c6c53d0d9f6a8b02ad2e88ac22b33b2adf729",
    ),
    "mobilenet_v1_100": Archive(
        _MOBILENETS + "mobilenet_v1_1.0_224.tgz",
        sha256="1ccb74dbd9c5f7aea879120614e91617db9534bdfaa53dfea54b7c14162e126b",
    ),
    "nasnet_large": Archive(_TENSORFLOW + "nasnet-a_large_04_10_2017.tar.gz"),
}
"""Networks with an address of their own. DenseNet-121 and -169 are only in the study's archive."""
