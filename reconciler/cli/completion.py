"""Which words may follow on the command line? `reconciler completion` tells a shell, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.cli.printing import say

FILES = frozenset({"SOURCE", "DIR", "DIRECTORY", "FILE", "SOURCE|PLAN|STACK"})
"""What stands for something in the file system, as the usage names it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("shell", choices=tuple(SHELLS), help="bash: source it; zsh: into a directory of $fpath as _reconciler")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    say(SHELLS[args.shell](verbs()))
    return 0


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a verb, or its positional words (`names` empty).

    choices  the words it takes, () when anything goes
    files    whether it takes a file or directory
    takes    whether anything follows it at all
    """

    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    files: bool
    takes: bool


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with everything that may follow it."""

    name: str
    help: str
    options: tuple[Option, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for option in self.options for name in option.names)

    @property
    def words(self) -> tuple[str, ...]:
        """What its positional words may be."""
        return tuple(word for option in self.options if not option.names for word in option.choices)

    @property
    def files(self) -> bool:
        """Whether a positional word may be a file."""
        return any(option.files for option in self.options if not option.names)


def verbs() -> tuple[Verb, ...]:
    """Return every verb as the parser knows it."""
    from reconciler.cli import VERBS, parser_for

    parser = parser_for(*VERBS)
    known = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return tuple(Verb(name, VERBS[name], tuple(map(_option, known.choices[name]._actions))) for name in VERBS)


def _option(action: argparse.Action) -> Option:
    from reconciler.cli.docs import PAGES, topics

    choices = tuple(map(str, action.choices or (topics(PAGES) if action.metavar == "TOPIC" else ())))
    takes = action.nargs != 0
    return Option(tuple(action.option_strings), (action.help or "") % vars(action), choices, action.metavar in FILES, takes)


# --- bash ------------------------------------------------------------------------------------------------------------


def bash(known: tuple[Verb, ...]) -> str:
    """Return a script for bash 4 or newer, without the bash-completion package."""
    cases = "".join(_bash_case(verb) for verb in known)
    return _BASH.replace("@VERBS@", " ".join(verb.name for verb in known)).replace("@CASES@", cases)


def _bash_case(verb: Verb) -> str:
    after = "".join(f"                {line}\n" for line in _bash_values(verb))
    lines = [f"        {verb.name})", '            case "$before" in', after.rstrip("\n"), "            esac"]
    files = "yes" if verb.files else ""
    lines += [f'            options="{" ".join(verb.names)}" words="{" ".join(verb.words)}" files={files}', "            ;;"]
    return "\n".join(line for line in lines if line) + "\n"


def _bash_values(verb: Verb) -> Iterator[str]:
    for option in verb.options:
        if option.names and option.takes:
            set_to = f'words="{" ".join(option.choices)}" files={"yes" if option.files else ""}'
            yield f"{'|'.join(option.names)}) {set_to}; _reconciler_reply; return ;;"


_BASH = """\
# bash completion for reconciler: source this file, or put it where bash-completion finds it.
_reconciler_reply() {
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files && $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        local IFS=$'\\n'
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

_reconciler() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="" word
    local options="" words="" files=""
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { verb=$word; break; }
    done
    case "$verb" in
        "")
            options="--help --version" words="@VERBS@"
            ;;
@CASES@    esac
    [[ $current == -* ]] && words=$options
    _reconciler_reply
}

complete -F _reconciler reconciler
"""

# --- zsh -------------------------------------------------------------------------------------------------------------


def zsh(known: tuple[Verb, ...]) -> str:
    """Return a script for zsh's own completion system."""
    listed = "".join(f"        {_quoted(f'{verb.name}:{verb.help}')}\n" for verb in known)
    cases = "".join(f"        {verb.name}) _arguments {' '.join(_zsh_specs(verb))} ;;\n" for verb in known)
    return _ZSH.replace("@VERBS@", listed).replace("@CASES@", cases)


def _zsh_specs(verb: Verb) -> Iterator[str]:
    for option in verb.options:
        values = f"({' '.join(option.choices)})" if option.choices else "_files" if option.files else " "
        if not option.names:
            yield _quoted(f"*: :{values}")
        for name in option.names:
            yield _quoted(f"*{name}[{_without_brackets(option.help)}]" + (f": :{values}" if option.takes else ""))


def _without_brackets(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace(":", ",")


_ZSH = """\
#compdef reconciler
_reconciler() {
    local -a verbs=(
@VERBS@    )
    if (( CURRENT == 2 )); then
        _describe verb verbs
        return
    fi
    local verb=$words[2]
    shift words
    (( CURRENT-- ))
    case $verb in
@CASES@    esac
}

if [[ $funcstack[1] == _reconciler ]]; then
    _reconciler
else
    compdef _reconciler reconciler
fi
"""

# --- fish ------------------------------------------------------------------------------------------------------------


def fish(known: tuple[Verb, ...]) -> str:
    """Return a script for fish."""
    return "".join(f"{line}\n" for line in ("complete -c reconciler -f", *_fish_lines(known)))


def _fish_lines(known: tuple[Verb, ...]) -> Iterator[str]:
    for verb in known:
        yield f"complete -c reconciler -n __fish_use_subcommand -a {verb.name} -d {_quoted(verb.help)}"
        here = f"complete -c reconciler -n '__fish_seen_subcommand_from {verb.name}'"
        for option in verb.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            words = f"-a {_quoted(' '.join(option.choices))}" if option.choices else ""
            takes = ("-r" if option.files else "-x") if option.names and option.takes else ""
            files = "-F" if option.files else ""
            described = f"-d {_quoted(option.help)}" if option.names else ""
            yield " ".join(part for part in (here, names, takes, files, words, described) if part)


def _quoted(text: str) -> str:
    """Quote for zsh and fish alike: both read `'` … `'` as it stands, and a quote outside as `\\'`."""
    return "'" + text.replace("'", "'\\''") + "'"


SHELLS: Mapping[str, Callable[[tuple[Verb, ...]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
