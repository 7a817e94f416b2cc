"""Image files to images in memory (`decoding`, `dicom`), and what is made once and needed again (`store`)."""
