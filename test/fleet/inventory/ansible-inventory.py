"""ansible-inventory --list for many inventories in one process: each is a run of the program itself, and loading Ansible takes longer than most of them.

Reads a JSON list of {"sources": [path, ...], "output": path} on standard input. Each output is what the program prints, or {"failed": message}.
"""
import json
import os
import sys

from ansible.cli.inventory import InventoryCLI
from ansible.utils.context_objects import GlobalCLIArgs


def answer(case):
    arguments = ["ansible-inventory", "--list", "--output", case["output"]]
    for source in case["sources"]:
        arguments += ["-i", source]
    GlobalCLIArgs._Singleton__instance = None  # the arguments of the run before
    try:
        InventoryCLI(arguments).run()
    except SystemExit:
        return
    except Exception as error:  # what Ansible refuses is an answer too
        with open(case["output"], "w", encoding="utf-8") as file:
            json.dump({"failed": str(error)}, file)


sys.stderr = open(os.devnull, "w", encoding="utf-8")
for each in json.load(sys.stdin):
    answer(each)
