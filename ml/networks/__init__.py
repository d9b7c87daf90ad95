"""Network architectures and Grad-CAM."""
