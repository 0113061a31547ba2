"""Training: one readable loop, one objective file per trainable method, validated recipes."""
