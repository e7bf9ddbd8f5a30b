"""What is in a page, decoded independently of the page's own script."""

import base64
import json
import re
import zlib

import numpy as np


def data_of(html):
    """The data of a page."""
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def unpacked(block):
    """The numbers of a block, float64."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), np.uint8).reshape(2, -1).astype(np.int64)
    values = planes[0] + 256 * planes[1]
    return (np.where(values >= 2**15, values - 2**16, values) * block["unit"]).reshape(block["shape"])
