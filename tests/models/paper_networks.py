"""Networks written down a second time, straight from their papers, in NumPy and double precision.

Nothing is shared with `cnn_jax` but the names of the parameters. Maps are NCHW here, so that no layout agrees by
chance. Each function returns the named features, maps NHWC as ours.
"""

import numpy as np

BATCH_NORM_EPSILON = 1e-5


def conv(x, layer, stride=1, pad=0, groups=1):
    """A sum over the taps of the kernel [kh, kw, c / groups, features], each a matrix product; then the bias."""
    kernel = np.asarray(layer["kernel"], np.float64)
    size = kernel.shape[0]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((side - size) // stride + 1 for side in x.shape[2:])
    outputs = []
    for part, kernels in zip(np.split(x, groups, 1), np.split(kernel, groups, 3), strict=True):
        y = 0.0
        for i in range(size):
            for j in range(size):
                seen = part[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
                y = y + np.einsum("nchw,cf->nfhw", seen, kernels[i, j], optimize=True)
        outputs.append(y)
    y = np.concatenate(outputs, 1)
    return y + np.asarray(layer["bias"], np.float64)[:, None, None] if "bias" in layer else y


def dense(x, layer):
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)


def relu(x):
    return np.where(x > 0, x, 0.0)


def windows(x, size, stride, pad, fill, ceil):
    """All windows of a map, stacked in front."""
    rows, columns = ((side + 2 * pad - size + (stride - 1 if ceil else 0)) // stride + 1 for side in x.shape[2:])
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad + stride), (pad, pad + stride)), constant_values=fill)
    taps = [(i, j) for i in range(size) for j in range(size)]
    return np.stack([x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride] for i, j in taps])


def max_pool(x, size=3, stride=2, pad=0, ceil=False):
    return windows(x, size, stride, pad, -np.inf, ceil).max(0)


def response_norm(x, k=2.0, n=5, alpha=1e-4, beta=0.75):
    """Krizhevsky et al. 2012, §3.3: the sum runs over max(0, i − n/2) … min(N − 1, i + n/2)."""
    channels = x.shape[1]
    y = np.empty_like(x)
    for i in range(channels):
        near = x[:, max(0, i - n // 2) : min(channels - 1, i + n // 2) + 1]
        y[:, i] = x[:, i] / (k + alpha * (near**2).sum(1)) ** beta
    return y


def batch_norm(x, layer, statistics):
    scale, bias, mean, var = (
        np.asarray(a, np.float64)[:, None, None]
        for a in (layer["scale"], layer["bias"], statistics["mean"], statistics["var"])
    )
    return scale * (x - mean) / np.sqrt(var + BATCH_NORM_EPSILON) + bias


def channels_last(features):
    return {name: x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for name, x in features.items()}


def alexnet_2012(variables, images):
    """§3.5: the second, fourth and fifth layer see the maps of their own GPU; pooling overlaps (§3.4).

    At sizes whose last maps are 6×6, as at 227.
    """
    params, f = variables["params"], {}
    x = images.transpose(0, 3, 1, 2)
    x = f["stem"] = response_norm(relu(conv(x, params["conv1"], stride=4)))
    x = f["stage1"] = max_pool(x)
    x = f["stage2"] = max_pool(response_norm(relu(conv(x, params["conv2"], pad=2, groups=2))))
    x = relu(conv(x, params["conv3"], pad=1))
    x = relu(conv(x, params["conv4"], pad=1, groups=2))
    x = f["stage3"] = f["pool"] = max_pool(relu(conv(x, params["conv5"], pad=1, groups=2)))
    assert x.shape[2:] == (6, 6)
    x = x.transpose(0, 2, 3, 1).reshape(len(x), -1)
    x = relu(dense(relu(dense(x, params["fc6"])), params["fc7"]))
    f["logits"] = dense(x, params["head"])
    return channels_last(f)


def googlenet_2014(variables, images, aux=False):
    """Table 1 and figure 3; the auxiliary classifiers of §5, without their dropout, on 14×14 maps."""
    params, f = variables["params"], {}

    def unit(x, layer, **how):
        return relu(conv(x, layer["conv"], **how))

    def inception(x, block):
        one = unit(x, block["one"])
        three = unit(unit(x, block["three_reduce"]), block["three"], pad=1)
        five = unit(unit(x, block["five_reduce"]), block["five"], pad=2)
        pooled = unit(max_pool(x, 3, 1, pad=1), block["pool_project"])
        return np.concatenate([one, three, five, pooled], 1)

    def auxiliary(x, name):
        x = windows(x, 5, 3, 0, 0.0, False).mean(0)
        x = unit(x, params[f"{name}_conv"]).transpose(0, 2, 3, 1).reshape(len(x), -1)
        f[name] = dense(relu(dense(x, params[f"{name}_fc"])), params[f"{name}_head"])

    x = unit(images.transpose(0, 3, 1, 2), params["conv1"], stride=2, pad=3)
    x = response_norm(max_pool(x, ceil=True))
    x = response_norm(unit(unit(x, params["conv2"]), params["conv3"], pad=1))
    x = f["stem"] = max_pool(x, ceil=True)
    for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if name in ("4a", "5a"):
            x = max_pool(x, ceil=True)
        x = inception(x, params[f"inception{name}"])
        if name in ("3b", "4e", "5b"):
            f[f"stage{int(name[0]) - 2}"] = x
        if aux and name in ("4a", "4d"):
            auxiliary(x, "aux1" if name == "4a" else "aux2")
    x = f["pool"] = x.mean((2, 3))
    f["logits"] = dense(x, params["head"])
    return channels_last(f)


def residual_2015(variables, images, shortcuts=True):
    """He et al. 2015, §4.2: 6n + 2 layers, basic blocks, identity shortcuts with zeros for new channels (option A)."""
    params, stats, f = variables["params"], variables["batch_stats"], {}

    def normalized(x, *path, **how):
        layer, mean_and_var = params, stats
        for name in path[:-1]:
            layer, mean_and_var = layer[name], mean_and_var[name]
        number = path[-1]
        return batch_norm(conv(x, layer[f"conv{number}"], **how), layer[f"norm{number}"], mean_and_var[f"norm{number}"])

    x = conv(images.transpose(0, 3, 1, 2), params["stem_conv"], pad=1)
    x = f["stem"] = relu(batch_norm(x, params["stem_norm"], stats["stem_norm"]))
    for stage, blocks in stages(params):
        for number, name in enumerate(blocks):
            stride = 2 if stage > 1 and number == 0 else 1
            y = relu(normalized(x, name, 1, stride=stride, pad=1))
            y = normalized(y, name, 2, pad=1)
            x = relu(y + zero_padded(x, y, stride) if shortcuts else y)
        f[f"stage{stage}"] = x
    x = f["pool"] = x.mean((2, 3))
    f["logits"] = dense(x, params["head"])
    return channels_last(f)


def pre_activation_2016(variables, images):
    """He et al. 2016, figure 4e and appendix, and Zagoruyko and Komodakis 2016, table 1 (basic or bottleneck units).

    The first unit activates its input before the paths part; so does one whose shortcut is a convolution.
    """
    params, stats, f = variables["params"], variables["batch_stats"], {}
    x = f["stem"] = conv(images.transpose(0, 3, 1, 2), params["stem_conv"], pad=1)
    first = True
    for stage, blocks in stages(params):
        for number, name in enumerate(blocks):
            unit, statistics = params[name], stats[name]
            stride = 2 if stage > 1 and number == 0 else 1
            active = relu(batch_norm(x, unit["norm1"], statistics["norm1"]))
            bottleneck = "conv3" in unit
            if bottleneck:
                y = relu(batch_norm(conv(active, unit["conv1"]), unit["norm2"], statistics["norm2"]))
                y = relu(batch_norm(conv(y, unit["conv2"], stride, 1), unit["norm3"], statistics["norm3"]))
                y = conv(y, unit["conv3"])
            else:
                y = relu(batch_norm(conv(active, unit["conv1"], stride, 1), unit["norm2"], statistics["norm2"]))
                y = conv(y, unit["conv2"], 1, 1)
            if "shortcut" in unit:
                x = y + conv(active, unit["shortcut"]["conv"], stride)
            else:
                x = y + zero_padded(active if first else x, y, stride)
            first = False
        f[f"stage{stage}"] = x
    x = relu(batch_norm(x, params["last_norm"], stats["last_norm"]))
    x = f["pool"] = x.mean((2, 3))
    f["logits"] = dense(x, params["head"])
    return channels_last(f)


def stages(params):
    """The names of the blocks of each stage, in order."""
    for stage in (1, 2, 3):
        blocks = [name for name in params if name.startswith(f"stage{stage}_")]
        yield stage, sorted(blocks, key=lambda name: int(name.split("block")[1]))


def zero_padded(x, y, stride):
    """The identity, subsampled, with zeros for the channels that `y` has more."""
    x = x[:, :, ::stride, ::stride]
    return np.pad(x, ((0, 0), (0, y.shape[1] - x.shape[1]), (0, 0), (0, 0)))
