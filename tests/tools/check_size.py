#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runtime library, stripped, stays within its budget.

    check_size.py LIBRARY BYTES
"""
import os
import subprocess
import sys
import tempfile

library, budget = sys.argv[1], int(sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    stripped = os.path.join(folder, "stripped.so")
    subprocess.run(["strip", "-o", stripped, library], check=True)
    size = os.path.getsize(stripped)
print(f"{os.path.basename(library)}: {size} bytes stripped, {budget} allowed")
sys.exit(0 if size <= budget else 1)
