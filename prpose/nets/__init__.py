"""Networks: tensors in, tensors out. They know no camera, skeleton or data set."""
