"""Where radiographs come from, a file a source; each ends as an ordinary folder of images."""
