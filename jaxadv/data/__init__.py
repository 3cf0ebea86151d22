"""Sources of pictures: the embedded digits, folders of pictures, TensorFlow Datasets, and arrays.

This room may import `jaxadv.support`. It imports no JAX.

    source = sources.open_source("imagefolder:DIR")
    chosen = selection.select(source, "study", count=None, seed=0)
    for batch in loader.Pictures(source, chosen, size=224, cache=folder):
        ...

`open_source` reads names, labels and ids. `select` chooses images and their order. `Pictures`
decodes them, and lists the pictures that cannot be used.
"""
