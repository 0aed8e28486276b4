#!/usr/bin/python3
"""The local stack's command; `stack.py --help` lists what it does. All of it is in stack/."""

import sys

from stack.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
