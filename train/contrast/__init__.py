"""Contrastive learning: losses over pairs, their negatives, and dropout that makes two views of one text."""
