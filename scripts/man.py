"""Turns `postern --experimental-dump-help` into a manual page: one page for all commands, from the texts of --help."""

import json
import sys
import time

version, epoch = sys.argv[1], int(sys.argv[2])
root = json.load(sys.stdin)["command"]


def escaped(text):
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def option(argument):
    """`--state <state>`, or the name of what stands without a dash."""
    names = [("--" if name["kind"] == "long" else "-") + name["name"] for name in argument.get("names") or []]
    value = argument.get("valueName", "")
    if argument["kind"] == "positional":
        return f"\\fI{escaped(value)}\\fR"
    text = ", ".join(f"\\fB{escaped(name)}\\fR" for name in names)
    return text + (f" \\fI{escaped(value)}\\fR" if argument["kind"] == "option" else "")


def discussion(text):
    """Paragraphs, filled to the reader's width; examples stay as they are written."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        is_example = lines[0].startswith("Example") or any(line.startswith(" ") for line in lines)
        print(f".PP\n.nf\n{escaped(paragraph)}\n.fi" if is_example else f".PP\n{escaped(paragraph)}")


def show(command, path):
    print(f'.SS "{escaped(" ".join(path))}"')
    print(escaped(command.get("abstract", "")))
    if command.get("discussion"):
        discussion(command["discussion"])
    for argument in command.get("arguments") or []:
        if not argument.get("shouldDisplay", True) or (argument.get("names") or [{}])[0].get("name") in ("help", "version"):
            continue
        print(f".TP\n{option(argument)}")
        print(escaped(argument.get("abstract") or ""))
    for child in command.get("subcommands") or []:
        if child["commandName"] != "help":
            show(child, path + [child["commandName"]])


print(f'.TH POSTERN 1 "{time.strftime("%Y-%m-%d", time.gmtime(epoch))}" "Postern {version}" "User Commands"')
print(".SH NAME\npostern \\- share terminals through a server of your own that cannot read them")
print(".SH SYNOPSIS\n\\fBpostern\\fR \\fIcommand\\fR [\\fIoptions\\fR]")
print(".SH DESCRIPTION")
discussion(root.get("discussion", ""))
print(".SH COMMANDS")
for child in root.get("subcommands") or []:
    if child["commandName"] != "help":
        show(child, ["postern", child["commandName"]])
print(""".SH EXIT STATUS
.TP
0
Done.
.TP
1
Refused or failed; the sentence on standard error says why.
.TP
2
Wrong usage.
.TP
75
Try again in a moment.
.PP
\\fBpostern share\\fR exits as its command does.
.SH FILES
.TP
/etc/postern/postern.yml
The server's configuration.
.TP
/var/lib/postern
Database, keys, certificates and backups.
.TP
~/.config/postern/credentials.json
Where \\fBpostern login\\fR keeps a server's address, its fingerprint and your token.
.SH ENVIRONMENT
Every setting of the server is also a variable: tls\\-mode is POSTERN_TLS_MODE.
POSTERN_URL, POSTERN_TOKEN and POSTERN_FINGERPRINT win over what \\fBpostern login\\fR has stored.""")
