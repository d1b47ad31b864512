#!/usr/bin/env python3
"""Mints a virtual key and prints it with its SHA-256, ready to paste into the configuration.

    scripts/vk.py [ID]

The configuration holds only the digest: the key itself is shown here once and stored nowhere.
"""

import hashlib
import json
import secrets
import sys

identifier = sys.argv[1] if len(sys.argv) > 1 else "my-team"
key = "vk-" + secrets.token_urlsafe(32)  # 256 bits, 43 characters
digest = hashlib.sha256(key.encode()).hexdigest()

print(f"""\
key     {key}
sha256  {digest}

Give the key to its user: it is what an OpenAI SDK takes as api_key. For the filter's configuration:

virtual_keys:
- id: {json.dumps(identifier)}
  key_sha256: {digest}
""")
