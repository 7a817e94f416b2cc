"""Where the radiographs come from: each source prepares an ordinary folder of images."""
