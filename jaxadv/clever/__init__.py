"""CLEVER: sampling of gradient norms and the extreme-value fit that turns them into a local Lipschitz constant."""
