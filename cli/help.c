/* SPDX-License-Identifier: Apache-2.0 */
/* What the program says about itself, all of it from the verbs' tables: help, man page,
 * completions. */
#include <stdlib.h>
#include <string.h>

#include "find_model.h"

enum { HELP_WIDTH = 79, HELP_COLUMN = 30 };

static const char name_or_file[] =
    "A model is a file, or the name of one that ships: `squeezebert info` lists them.";
static const char purpose[] = "BERT-class encoders on any CPU: one program, one model file";

void cli_print_overview(FILE *stream, const cli_verb *const *verbs)
{
    fprintf(stream, "squeezebert: %s.\n\nUsage: squeezebert VERB [OPTIONS] ...\n\n", purpose);
    for (const cli_verb *const *verb = verbs; *verb; verb++)
        fprintf(stream, "  %-12s %s\n", (*verb)->name, (*verb)->summary);
    fputs("\n`squeezebert VERB --help` shows a verb's options and an example.\n"
          "Also: --version, help --man (a man page), help --completions bash.\n"
          "Exit codes: 0 done; 1 failed, some records did, or results cannot be written; 2 wrong "
          "usage; 3 bad\ninput file; 4 out of memory, of room on a disk or of another resource.\n",
          stream);
    char *names = cli_shipped_names();
    if (names)
        fprintf(stream,
                "Models that ship: %s; a name stands for the file. `squeezebert info` lists "
                "them.\n",
                names);
    free(names);
}

/* "-j, --json" or "    --text COLUMN" */
static void name_option(const cli_option *option, char *out, size_t bytes)
{
    char letter[8] = "    ";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(out, bytes, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
}

/* Prints the text's words and ends the line. The first one stands where the cursor is, in this
 * column; lines that follow begin there too, and none is wider than a terminal. */
static void print_wrapped(const char *text, int column)
{
    for (int at = column; *text; text += *text != '\0') {
        const int word = (int)strcspn(text, " \n");
        if (at > column && at + 1 + word > HELP_WIDTH) printf("\n%*s", at = column, "");
        else if (at > column) at += printf(" ");
        at += printf("%.*s", word, text);
        text += word;
    }
    putchar('\n');
}

static void print_table(const cli_option *table)
{
    for (; table->name; table++) {
        char name[128];
        name_option(table, name, sizeof name);
        if (strlen(name) > HELP_COLUMN - 4) printf("  %s\n%*s", name, HELP_COLUMN, "");
        else printf("  %-*s", HELP_COLUMN - 2, name);
        print_wrapped(table->help, HELP_COLUMN);
    }
}

void cli_print_help(const cli_verb *verb)
{
    printf("squeezebert %s: %s.\n\nUsage: squeezebert %s [OPTIONS] %s\n\n", verb->name,
           verb->summary, verb->name, verb->arguments);
    print_wrapped(verb->details, 0);
    if (cli_takes_models(verb)) print_wrapped(name_or_file, 0);
    printf("\nOptions:\n");
    for (const cli_option *const *table = verb->tables; table && *table; table++) {
        print_table(*table);
        putchar('\n');
    }
    print_table(cli_program_options);
    printf("\nExample:\n%s\n", verb->example);
}

/* Text for roff: a backslash, a dash and a leading dot or quote would be read as commands. */
static void roff(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '\\') fputs("\\e", stdout);
        else if (*text == '-') fputs("\\-", stdout);
        else putchar(*text);
        line_start = *text == '\n';
    }
}

static void man_options(const cli_option *table)
{
    for (; table->name; table++) {
        printf(".TP\n.B ");
        if (table->letter) printf("\\-%c, ", table->letter);
        printf("\\-\\-");
        roff(table->name);
        if (table->argument) {
            printf(" \\fI");
            roff(table->argument);
            printf("\\fR");
        }
        putchar('\n');
        roff(table->help);
        putchar('\n');
    }
}

static void man_verb(const cli_verb *verb)
{
    printf(".SH squeezebert %s\n.B squeezebert ", verb->name);
    roff(verb->name);
    printf(" [OPTIONS] ");
    roff(verb->arguments);
    printf("\n.PP\n");
    roff(verb->summary);
    printf(".\n");
    roff(verb->details);
    putchar('\n');
    for (const cli_option *const *table = verb->tables; table && *table; table++)
        man_options(*table);
    printf(".PP\nExample:\n.PP\n.nf\n");
    roff(verb->example);
    printf("\n.fi\n");
}

void cli_print_man_page(const cli_verb *const *verbs)
{
    printf(".TH SQUEEZEBERT 1\n.SH NAME\nsqueezebert \\- ");
    roff(purpose);
    printf("\n.SH SYNOPSIS\n.B squeezebert\n.I VERB\n[OPTIONS] ...\n.SH DESCRIPTION\n");
    roff("Records come from stdin, one a line, and results go to stdout in the same order; "
         "progress and messages go to stderr. "
         "A record that fails leaves an error record in its place.");
    putchar('\n');
    for (const cli_verb *const *verb = verbs; *verb; verb++) man_verb(*verb);
    printf(".SH EXIT STATUS\n");
    roff(
        "0 done; 1 the job or some records failed, or results cannot be written where they were "
        "to go (no such folder, no permission, a folder, a device in the place of a model file); "
        "2 wrong usage, or a model that cannot do what was asked for; 3 an input that is not there "
        "or is not what it should be; 4 out of memory, of room on a disk or of another resource, "
        "whether for a file or for stdout. A program that a signal ends (SIGINT, SIGTERM, SIGHUP, "
        "SIGQUIT, SIGXCPU), or the reader of its pipe (SIGPIPE, without a word), removes what is "
        "half written and dies by that signal: the shell says 128 + its number.");
    printf("\n.SH MODELS\n");
    roff("MODEL is a file. Where there is none of this name, and no dot or slash is in it, NAME is "
         "NAME.gguf in the folder that SQUEEZEBERT_MODELS names, else in models/ beside the "
         "program, else in share/squeezebert/models of where it is installed. `squeezebert info` "
         "lists those that are found; a card, NAME.md, lies beside each.");
    printf("\n.SH FILES\n");
    roff("A file appears at the end, as a whole: until then it is FILE.RANDOM.tmp beside it. Links "
         "are followed and stay, permissions of a file that is replaced are kept, one that may not "
         "be written is not replaced. embed -o writes to pipes, devices, - and /dev/fd/N as well; "
         "model files do not.");
    printf("\n"
           ".SH ENVIRONMENT\n.TP\n.B SQZ_CPU\nCPU features to use, as \\-\\-cpu.\n.TP\n.B "
           "SQUEEZEBERT_MODELS\na folder of model files that are found by their names, before "
           "those that ship.\n.TP\n.B "
           "NO_COLOR\nno colour in output.\n.TP\n.B TMPDIR\nwhere bench \\-\\-type and embed \\-o "
           "to a "
           "pipe keep what they make (/tmp).\n");
}

static void complete_options(const cli_option *table)
{
    for (; table->name; table++) printf(" --%s", table->name);
}

void cli_print_completions(const cli_verb *const *verbs)
{
    printf("_squeezebert() {\n    local word=\"${COMP_WORDS[COMP_CWORD]}\" options=\"\"\n    if [ "
           "\"$COMP_CWORD\" -eq 1 ]; then\n        options=\"");
    for (const cli_verb *const *verb = verbs; *verb; verb++) printf("%s ", (*verb)->name);
    printf("\"\n    else\n        case \"${COMP_WORDS[1]}\" in\n");
    for (const cli_verb *const *verb = verbs; *verb; verb++) {
        printf("            %s) options=\"", (*verb)->name);
        for (const cli_option *const *table = (*verb)->tables; table && *table; table++)
            complete_options(*table);
        complete_options(cli_program_options);
        printf("\" ;;\n");
    }
    printf("        esac\n    fi\n    case \"$word\" in\n        -*|\"\") ;;\n        *) [ "
           "\"$COMP_CWORD\" -gt 1 ] && { COMPREPLY=($(compgen -f -- \"$word\")); return; } ;;\n    "
           "esac\n"
           "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\ncomplete -o filenames -F "
           "_squeezebert squeezebert\n");
}
