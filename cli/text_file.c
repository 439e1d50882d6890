/* SPDX-License-Identifier: Apache-2.0 */
/* zlib reads what is compressed and what is not alike. */
#include "text_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { GZ_BUFFER = 1 << 18 };

static ptrdiff_t read_gz(void *user, void *bytes, size_t n)
{
    const int got = gzread(user, bytes, (unsigned)(n < GZ_BUFFER ? n : GZ_BUFFER));
    int code = 0;
    if (got >= 0) return got;
    (void)gzerror(user, &code);
    if (code != Z_ERRNO) errno = EILSEQ; /* no gzip, or damaged */
    return -1;
}

cli_text_file cli_open_text_file(const char *path)
{
    sqz_error error = {0};
    sqz_rows *rows;
    cli_text_file file = {0};
    gzFile gz = gzopen(path, "rbe");
    if (!gz)
        cli_die(cli_code(sqz_status_of_errno(errno, 0)), "%s: cannot open: %s", path,
                strerror(errno));
    gzbuffer(gz, GZ_BUFFER);
    const sqz_rows_source source = {.name = path, .read = read_gz, .user = gz};
    cli_check(sqz_rows_open(&source, NULL, &rows, &error), &error);
    file.read = cli_read_texts(rows, SIZE_MAX);
    cli_say_lines(rows);
    sqz_rows_close(rows);
    (void)gzclose(gz);
    file.texts = cli_allocate(NULL, file.read.n * sizeof *file.texts);
    for (size_t i = 0, begin = 0; i < file.read.n; begin = file.read.ends[i++] + 1)
        file.texts[i] = (sqz_text){file.read.bytes + begin, file.read.ends[i] - begin};
    return file;
}

void cli_free_text_file(cli_text_file *file)
{
    free(file->texts);
    free(file->read.bytes);
    free(file->read.ends);
    *file = (cli_text_file){0};
}
