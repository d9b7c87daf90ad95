"""Bytes of uploads: signatures, ZIPs, responses, heatmaps, CSV."""
