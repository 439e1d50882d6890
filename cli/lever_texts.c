/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of levers. */
#include "lever_texts.h"

#include <stdlib.h>

enum { LEVER_TEXTS_MOST = 64 << 20, VOCABULARY_MOST = 512 << 20 };

static cli_lever_texts read_texts(const char *path, uint32_t format, const char *column, bool all)
{
    cli_lever_texts t = {0};
    if (!path) return t;
    sqz_rows *file = cli_open_rows(path, format, column ? column : "text",
                                   "--text names a column, --input says what the file holds");
    if (column && sqz_rows_kind(file) == SQZ_ROWS_LINES)
        cli_die(CLI_USAGE, "--text names a column: say --input csv, tsv or jsonl");
    t.read = cli_read_texts(file, all ? VOCABULARY_MOST : LEVER_TEXTS_MOST);
    if (all && t.read.more)
        cli_die(CLI_BAD_FILE,
                "%s: holds more than " CLI_VOCABULARY_MOST " of texts, and pieces that the rest "
                "needs would leave: give fewer of them, such as each word or line once (sort -u)",
                path);
    cli_say_more(file, &t.read);
    cli_say_lines(file);
    sqz_rows_close(file);
    t.texts = cli_allocate(NULL, (t.read.n + 1) * sizeof *t.texts);
    for (size_t i = 0, begin = 0; i < t.read.n; begin = t.read.ends[i++] + 1)
        t.texts[i] = (sqz_text){t.read.bytes + begin, t.read.ends[i] - begin};
    return t;
}

cli_lever_texts cli_read_lever_texts(const char *path, uint32_t format, const char *column)
{
    return read_texts(path, format, column, false);
}

cli_lever_texts cli_read_vocabulary(const char *path, uint32_t format, const char *column)
{
    return read_texts(path, format, column, true);
}

void cli_free_lever_texts(cli_lever_texts *t)
{
    free(t->texts);
    free(t->read.bytes);
    free(t->read.ends);
    *t = (cli_lever_texts){0};
}
