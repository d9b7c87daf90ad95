"""Train by recipes, average, and release."""
