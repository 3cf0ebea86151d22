"""Where the pictures come from: the bundled digits, image folders, TensorFlow Datasets."""
