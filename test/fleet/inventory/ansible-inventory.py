"""ansible-inventory --list for many inventories: Ansible is loaded once, and each inventory has a process of its own, in which nothing was cached before.

Reads a JSON list of {"sources": [path, ...], "output": path} on standard input. Each output is what the program prints, or {"failed": message}.
"""
import json
import os
import sys

from ansible.cli.inventory import InventoryCLI
from ansible.executor.task_queue_manager import TaskQueueManager  # noqa: F401  loads most of what each child needs

WIDTH = os.cpu_count() or 1


def answer(case):
    arguments = ["ansible-inventory", "--list", "--output", case["output"]]
    for source in case["sources"]:
        arguments += ["-i", source]
    cli = InventoryCLI(arguments)
    cli.parse()
    try:
        cli.run()
    except SystemExit:
        return
    except Exception as error:  # what Ansible refuses is an answer too
        with open(case["output"], "w", encoding="utf-8") as file:
            json.dump({"failed": str(error)}, file)


def main():
    sys.stderr = open(os.devnull, "w", encoding="utf-8")
    running = 0
    for case in json.load(sys.stdin):
        if running >= WIDTH:
            os.wait()
            running -= 1
        if os.fork() == 0:
            answer(case)
            os._exit(0)
        running += 1
    for _ in range(running):
        os.wait()


main()
