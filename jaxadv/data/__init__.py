"""Where the pictures come from: the bundled digits, folders of ImageNet, TensorFlow Datasets, arrays.

May import `jaxadv.support`; imports no JAX.

    source = sources.open_source("imagefolder:DIR")                            names, labels and ids; nothing is decoded yet
    chosen = selection.select(source, "study", count=None, seed=0)             which of them, in which order
    for batch in loader.Pictures(source, chosen, size=224, cache=folder): ...  decoded, what cannot be used counted and listed
"""
