/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of levers. */
#include "lever_texts.h"

#include <stdlib.h>

cli_lever_texts cli_read_lever_texts(const char *path, uint32_t format, const char *column,
                                     size_t most)
{
    cli_lever_texts t = {0};
    if (!path) return t;
    sqz_rows *file = cli_open_rows(path, format, column ? column : "text",
                                   "--text names a column, --input says what the file holds");
    if (column && sqz_rows_kind(file) == SQZ_ROWS_LINES)
        cli_die(CLI_USAGE, "--text names a column: say --input csv, tsv or jsonl");
    t.read = cli_read_texts(file, most);
    cli_say_lines(file);
    sqz_rows_close(file);
    t.texts = cli_allocate(NULL, (t.read.n + 1) * sizeof *t.texts);
    for (size_t i = 0, begin = 0; i < t.read.n; begin = t.read.ends[i++] + 1)
        t.texts[i] = (sqz_text){t.read.bytes + begin, t.read.ends[i] - begin};
    return t;
}

void cli_free_lever_texts(cli_lever_texts *t)
{
    free(t->texts);
    free(t->read.bytes);
    free(t->read.ends);
    *t = (cli_lever_texts){0};
}
