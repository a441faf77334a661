"""`python -m backend keys`: CURVE keys and the allow-list of a backend on the network. May import `backend.server`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from backend.errors import BadInputError
from backend.server.auth import (
    SERVER_KEY_FILE,
    AllowList,
    check_public_key,
    new_key_pair,
    read_server_keys,
    write_server_keys,
)
from backend.server.config import config_dir, parse_bind
from blender_addon.wire.connection_file import ConnectionInfo, write_connection_file

_EXAMPLES = """examples:
  python -m backend keys create
  python -m backend keys add-client anna --endpoint tcp://gpu1.studio:5570 --output anna.json
      give anna.json to Anna; her Blender's preferences take it as the connection file
  python -m backend keys remove anna
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "keys",
        help="create and manage keys for a backend on the network",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dir", type=Path, default=None, metavar="DIR", help="keys folder (default: the user's own)")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create the key pair of the server")
    create.add_argument("--replace", action="store_true", help="replace an existing key pair")
    client = actions.add_parser("add-client", help="create keys for a client, allow them and write its connection file")
    client.add_argument("name")
    client.add_argument("--endpoint", required=True, metavar="ADDRESS", help="address of the server for the client")
    client.add_argument("--output", type=Path, required=True, metavar="FILE", help="the client's connection file")
    allow = actions.add_parser("allow", help="allow an existing public key")
    allow.add_argument("name")
    allow.add_argument("public_key")
    remove = actions.add_parser("remove", help="revoke the access of a client immediately")
    remove.add_argument("name")
    actions.add_parser("list", help="list the allowed clients")


def run(args: argparse.Namespace) -> int:
    """Carry out one action on the keys folder."""
    folder = args.dir or config_dir() / "keys"
    actions = {"create": _create, "add-client": _add_client, "allow": _allow, "remove": _remove, "list": _list}
    for line in actions[args.action](folder, args):
        sys.stdout.write(line + "\n")
    return 0


def _create(folder: Path, args: argparse.Namespace) -> list[str]:
    if (folder / SERVER_KEY_FILE).exists() and not args.replace:
        raise BadInputError(
            f"{folder} has server keys", "With --replace they are made anew; every client needs a new file"
        )
    keys = new_key_pair()
    write_server_keys(keys, folder)
    return [f"Wrote {folder / SERVER_KEY_FILE}", f"Public key: {keys.public}"]


def _add_client(folder: Path, args: argparse.Namespace) -> list[str]:
    parse_bind(args.endpoint)
    server = read_server_keys(folder)
    client = new_key_pair()
    _add(folder, args.name, client.public)
    info = ConnectionInfo(
        args.endpoint,
        server_public_key=server.public,
        client_public_key=client.public,
        client_secret_key=client.secret,
    )
    write_connection_file(info, args.output.absolute())
    return [f"Allowed {args.name}", f"Wrote {args.output}: give it to {args.name} over a safe way, and delete it here"]


def _allow(folder: Path, args: argparse.Namespace) -> list[str]:
    _add(folder, args.name, check_public_key(args.public_key))
    return [f"Allowed {args.name}"]


def _add(folder: Path, name: str, public_key: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInputError(f"{name!r} is not a client name", "Use letters, digits and . _ @ -")
    allow_list = AllowList(folder)
    if allow_list.has_name(name):
        raise BadInputError(f"{name} is on the allow-list", "Choose another name, or remove it first")
    allow_list.write({**allow_list.clients(), public_key: name})


def _remove(folder: Path, args: argparse.Namespace) -> list[str]:
    allow_list = AllowList(folder)
    if not allow_list.has_name(args.name):
        raise BadInputError(f"{args.name} is not on the allow-list", "See: python -m backend keys list")
    allow_list.write({key: name for key, name in allow_list.clients().items() if name != args.name})
    return [f"Removed {args.name}"]


def _list(folder: Path, args: argparse.Namespace) -> list[str]:
    clients = AllowList(folder).clients()
    return [f"{name}  {key}" for key, name in sorted(clients.items(), key=lambda item: item[1])] or ["No clients"]
