"""Image files to images in memory (`decoding`, `dicom`), and the cache (`store`)."""
