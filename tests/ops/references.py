"""What the operations mean, in NumPy loops and float64: slow, plain, and sharing no code with the package."""

import numpy as np


def conv2d(x, kernel, strides, pads, dilation, groups, cotangent=None):
    """Return the convolution, or with a cotangent its gradients to x and to the kernel."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    kh, kw, c, o = kernel.shape
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    height = (padded.shape[1] - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    width = (padded.shape[2] - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], height, width, o))
    dpadded, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    g = np.zeros_like(y) if cotangent is None else np.asarray(cotangent, np.float64)
    per = o // groups
    for a, b, group in np.ndindex(kh, kw, groups):
        ins, outs = slice(group * c, (group + 1) * c), slice(group * per, (group + 1) * per)
        rows = slice(a * dilation[0], a * dilation[0] + (height - 1) * strides[0] + 1, strides[0])
        columns = slice(b * dilation[1], b * dilation[1] + (width - 1) * strides[1] + 1, strides[1])
        seen, filters = padded[:, rows, columns, ins], kernel[a, b, :, outs]
        y[..., outs] += seen @ filters
        dpadded[:, rows, columns, ins] += g[..., outs] @ filters.T
        dkernel[a, b, :, outs] += seen.reshape(-1, c).T @ g[..., outs].reshape(-1, per)
    if cotangent is None:
        return y
    (top, _), (left, _) = pads
    return dpadded[:, top : top + x.shape[1], left : left + x.shape[2]], dkernel


def pool(x, window, strides, pads, ceil_mode, kind, cotangent=None):
    """Max pooling, or average pooling with (`average`) or without (`average_of_pixels`) the padding counted.

    With a cotangent the gradient; the first largest pixel takes that of max pooling.
    """
    x = np.asarray(x, np.float64)
    n, height, width, c = x.shape
    (top, bottom), (left, right) = pads

    def outputs(size, k, s, low, high):
        span = size + low + high - k
        count = (-(-span // s) if ceil_mode else span // s) + 1
        return count - 1 if ceil_mode and (count - 1) * s >= size + low else count

    out = outputs(height, window[0], strides[0], top, bottom), outputs(width, window[1], strides[1], left, right)
    y, dx = np.zeros((n, *out, c)), np.zeros_like(x)
    for m, i, j, ch in np.ndindex(n, *out, c):
        rows = range(i * strides[0] - top, i * strides[0] - top + window[0])
        columns = range(j * strides[1] - left, j * strides[1] - left + window[1])
        pixels = [(r, q) for r in rows for q in columns if 0 <= r < height and 0 <= q < width]
        values = [x[m, r, q, ch] for r, q in pixels]
        counted = sum(r < height + bottom and q < width + right for r in rows for q in columns)
        counted = counted if kind == "average" else len(pixels)
        if kind == "max":
            y[m, i, j, ch] = max(values)
            winner = pixels[int(np.argmax(values))]
            shares = {winner: 1.0}
        else:
            y[m, i, j, ch] = sum(values) / counted
            shares = dict.fromkeys(pixels, 1 / counted)
        if cotangent is not None:
            for (r, q), share in shares.items():
                dx[m, r, q, ch] += share * cotangent[m, i, j, ch]
    return y if cotangent is None else dx


def adaptive_average(x, bins, cotangent=None):
    """Return the bins' averages, or with a cotangent the gradient."""
    x = np.asarray(x, np.float64)
    n, height, width, c = x.shape
    y, dx = np.zeros((n, *bins, c)), np.zeros_like(x)
    for i, j in np.ndindex(*bins):
        rows = slice(int(np.floor(i * height / bins[0])), int(np.ceil((i + 1) * height / bins[0])))
        columns = slice(int(np.floor(j * width / bins[1])), int(np.ceil((j + 1) * width / bins[1])))
        y[:, i, j] = x[:, rows, columns].mean((1, 2))
        if cotangent is not None:
            pixels = x[0, rows, columns, 0].size
            dx[:, rows, columns] += np.asarray(cotangent, np.float64)[:, i : i + 1, j : j + 1] / pixels
    return y if cotangent is None else dx


def batch_norm(x, scale, bias, epsilon):
    x = np.asarray(x, np.float64)
    flat = x.reshape(-1, x.shape[-1])
    mean, var = flat.mean(0), flat.var(0)
    return (x - mean) / np.sqrt(var + epsilon) * scale + bias, mean, var


def local_response_norm(x, size, alpha, beta, k):
    x = np.asarray(x, np.float64)
    y = np.zeros_like(x)
    channels = x.shape[-1]
    for c in range(channels):
        first, last = max(0, c - size // 2), min(channels - 1, c + (size - 1) // 2)
        y[..., c] = x[..., c] / (k + alpha * (x[..., first : last + 1] ** 2).sum(-1)) ** beta
    return y


def local_response_norm_gradient(x, size, alpha, beta, k, cotangent, sign=-1):
    """dx[j] = g[j] / d[j] ** beta - 2 alpha beta x[j] * (sum over c of g[c] x[c] / d[c] ** (beta + 1)).

    Here d is the damping's base, and c are all channels whose sum holds j. With a sign of 1 and absolute values it is
    the size of its terms.
    """
    x, g = np.asarray(x, np.float64), np.asarray(cotangent, np.float64)
    channels = x.shape[-1]
    windows = [slice(max(0, c - size // 2), min(channels - 1, c + (size - 1) // 2) + 1) for c in range(channels)]
    base = np.stack([k + alpha * (x[..., window] ** 2).sum(-1) for window in windows], -1)
    dx = g / base**beta
    for c, window in enumerate(windows):
        share = g[..., c] * x[..., c] / base[..., c] ** (beta + 1)
        dx[..., window] += sign * 2 * alpha * beta * x[..., window] * share[..., None]
    return dx


def numeric_gradient(f, x, step=1e-6):
    """Central differences of a scalar function of a float64 array."""
    x = np.array(x, np.float64)
    gradient = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        here = x[at]
        x[at] = here + step
        above = f(x)
        x[at] = here - step
        below = f(x)
        x[at] = here
        gradient[at] = (above - below) / (2 * step)
    return gradient
