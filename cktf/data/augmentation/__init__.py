"""Random changes of images, drawn for each sample and made for whole batches on the device that holds them."""
