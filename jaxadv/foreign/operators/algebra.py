"""Matrix products, attention, inverses and decompositions: the ATen operators of their names."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Value, is_array, plain
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.activations import safe_softmax
from jaxadv.foreign.operators.arithmetic import add, mul
from model_ports.errors import InputError


def matmul(self, other) -> Array:
    """As NumPy's: vectors, matrices, and batches of matrices that broadcast."""
    dtype = types.promoted([self, other])
    return jnp.matmul(plain(types.cast(self, dtype)), plain(types.cast(other, dtype)))


def linear(input, weight, bias=None) -> Array:  # noqa: A002
    """(..., I) by (O, I) -> (..., O)."""
    x, kernel = plain(input), plain(weight)
    out = lax.dot_general(x, kernel, (((x.ndim - 1,), (kernel.ndim - 1,)), ((), ())))
    return out if bias is None else plain(add(out, bias))


def bilinear(input1, input2, weight, bias=None) -> Array:
    out = jnp.einsum("...i,oij,...j->...o", plain(input1), plain(weight), plain(input2))
    return out if bias is None else plain(add(out, bias))


def addmm(self, mat1, mat2, *, beta=1, alpha=1) -> Value:
    """beta * self + alpha * (mat1 @ mat2), for matrices, batches of them, and vectors."""
    return _added(self, matmul(mat1, mat2), beta, alpha)


def addbmm(self, batch1, batch2, *, beta=1, alpha=1) -> Value:
    return _added(self, jnp.sum(matmul(batch1, batch2), axis=0), beta, alpha)


def addr(self, vec1, vec2, *, beta=1, alpha=1) -> Value:
    return _added(self, outer(vec1, vec2), beta, alpha)


def _added(first: Value, product: Array, beta: Any, alpha: Any) -> Value:
    product = product if alpha == 1 else plain(mul(product, alpha))
    if beta == 0:  # what is not counted may be NaN
        return product
    return add(first if beta == 1 else mul(first, beta), product)


def outer(self, vec2) -> Array:
    return plain(self)[:, None] * plain(vec2)[None, :]


def vdot(self, other) -> Array:
    return jnp.vdot(plain(self), plain(other))


def einsum(equation, tensors, *, path=None) -> Array:
    """torch's sums of products: letters, broadcast dimensions as "...", blanks allowed."""
    dtype = types.promoted(tensors)
    return jnp.einsum(equation.replace(" ", ""), *(plain(types.cast(t, dtype)) for t in tensors))


def tensordot(self, other, dims_self, dims_other) -> Array:
    return jnp.tensordot(plain(self), plain(other), axes=(tuple(dims_self), tuple(dims_other)))


def kron(self, other) -> Array:
    return jnp.kron(plain(self), plain(other))


def cross(self, other, *, dim=-1) -> Array:
    return jnp.cross(plain(self), plain(other), axis=dim)


def trace(self) -> Array:
    return jnp.trace(plain(self))


def cosine_similarity(x1, x2, dim=1, eps=1e-8) -> Array:
    """Each length is at least ``eps``."""
    x, y = plain(x1), plain(x2)
    lengths = [
        jnp.sqrt(jnp.maximum(jnp.sum(v * v, axis=dim, keepdims=True), eps * eps)) for v in (x, y)
    ]
    return jnp.sum((x / lengths[0]) * (y / lengths[1]), axis=dim)


# --- attention ---------------------------------------------------------------


def attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    *,
    scale=None,
    enable_gqa=False,
) -> Array:
    """softmax(scale * query @ key^T + mask) @ value, of arrays (..., tokens, features).

    Args:
        attn_mask: numbers to be added, or truth values: False takes a token out. A query without
        any gets 0.
        dropout_p: 0; evaluation has no dropout.
        is_causal: no query sees later tokens.
        scale: None for 1 / sqrt(features).
        enable_gqa: fewer keys and values than queries along axis -3, each shared by several.
    """
    if dropout_p:
        raise InputError(
            f"attention with dropout {dropout_p:g} draws random numbers; call eval(), or set it to "
            "0"
        )
    q, k, v = plain(query), plain(key), plain(value)
    if enable_gqa and q.shape[-3] != k.shape[-3]:
        k, v = (jnp.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    factor = math.sqrt(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = jnp.matmul(q * factor, jnp.swapaxes(k, -1, -2) * factor)
    if is_causal:
        attn_mask = jnp.tril(jnp.ones(scores.shape[-2:], np.bool_))
    if attn_mask is None:
        return jnp.matmul(jax.nn.softmax(scores, axis=-1), v)
    mask = plain(attn_mask)
    if mask.dtype == np.bool_:
        scores = jnp.where(mask, scores, -jnp.inf)
    else:
        scores = scores + mask.astype(scores.dtype)
    return jnp.matmul(plain(safe_softmax(scores, -1)), v)


def flash_attention(
    query, key, value, dropout_p=0.0, is_causal=False, *, attn_mask=None, scale=None
) -> tuple[Array, None]:
    """As PyTorch names the one it has for processors; the second result is for training."""
    return attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale), None


def math_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    dropout_mask=None,
    *,
    scale=None,
    enable_gqa=False,
) -> tuple[Array, None]:
    return attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    ), None


def native_multi_head_attention(
    query,
    key,
    value,
    embed_dim,
    num_head,
    qkv_weight,
    qkv_bias,
    proj_weight,
    proj_bias,
    mask=None,
    need_weights=True,
    average_attn_weights=True,
    mask_type=None,
) -> tuple[Array, Array | None]:
    """PyTorch's `MultiheadAttention` as one operator: arrays (N, tokens, embed_dim)."""
    if is_array(mask) or need_weights:
        raise InputError(
            "_native_multi_head_attention with a mask, or with weights as a result, is not read"
        )
    weights, biases = jnp.split(plain(qkv_weight), 3), jnp.split(plain(qkv_bias), 3)

    def heads(x: Value, weight: Array, bias: Array) -> Array:
        projected = linear(x, weight, bias)
        return projected.reshape(*projected.shape[:2], num_head, -1).swapaxes(1, 2)

    q, k, v = (heads(*each) for each in zip((query, key, value), weights, biases, strict=True))
    out = attention(q, k, v).swapaxes(1, 2)
    return linear(out.reshape(*out.shape[:2], embed_dim), proj_weight, proj_bias), None


# --- inverses and decompositions ---------------------------------------------


def cholesky(self, *, upper=False) -> Array:
    x = jnp.linalg.cholesky(plain(self))
    return jnp.swapaxes(x, -1, -2) if upper else x


def cholesky_ex(self, *, upper=False, check_errors=False) -> tuple[Array, Array]:
    return cholesky(self, upper=upper), jnp.zeros(self.shape[:-2], np.int32)


def inverse_ex(A, *, check_errors=False) -> tuple[Array, Array]:  # noqa: N803
    return jnp.linalg.inv(plain(A)), jnp.zeros(A.shape[:-2], np.int32)


def solve_ex(A, B, *, left=True, check_errors=False) -> tuple[Array, None, None, Array]:  # noqa: N803
    a, b = plain(A), plain(B)
    if not left:
        a, b = jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2)
    vector = b.ndim == a.ndim - 1
    out = jnp.linalg.solve(a, b[..., None] if vector else b)
    out = out[..., 0] if vector else out if left else jnp.swapaxes(out, -1, -2)
    return out, None, None, jnp.zeros(a.shape[:-2], np.int32)


def svd(A, full_matrices=False, compute_uv=True, *, driver=None) -> tuple:  # noqa: N803
    if not compute_uv:
        return None, jnp.linalg.svd(plain(A), compute_uv=False), None
    return tuple(jnp.linalg.svd(plain(A), full_matrices=full_matrices))


def eigh(A, UPLO="L", compute_v=True) -> tuple:  # noqa: N803
    return tuple(jnp.linalg.eigh(plain(A), UPLO=UPLO))


def qr(A, mode="reduced") -> tuple:  # noqa: N803
    return tuple(jnp.linalg.qr(plain(A), mode=mode))


def determinant(A) -> tuple:  # noqa: N803
    return jnp.linalg.det(plain(A)), None, None


def matrix_exponential(self) -> Array:
    return jax.scipy.linalg.expm(plain(self))


ATEN: dict[str, Callable[..., Any]] = {
    **{name: matmul for name in ("matmul", "linalg_matmul", "mm", "bmm", "mv", "dot")},
    "linear": linear,
    "bilinear": bilinear,
    **{name: addmm for name in ("addmm", "baddbmm", "addmv")},
    "addbmm": addbmm,
    "addr": addr,
    "outer": outer,
    "vdot": vdot,
    "einsum": einsum,
    "tensordot": tensordot,
    "kron": kron,
    "linalg_cross": cross,
    "trace": trace,
    "cosine_similarity": cosine_similarity,
    "scaled_dot_product_attention": attention,
    "_scaled_dot_product_flash_attention_for_cpu": flash_attention,
    "_scaled_dot_product_attention_math": math_attention,
    "_native_multi_head_attention": native_multi_head_attention,
    "linalg_cholesky": cholesky,
    "linalg_cholesky_ex": cholesky_ex,
    "linalg_inv_ex": inverse_ex,
    "_linalg_solve_ex": solve_ex,
    "_linalg_svd": svd,
    "_linalg_eigh": eigh,
    "linalg_qr": qr,
    "_linalg_det": determinant,
    "linalg_matrix_exp": matrix_exponential,
}
