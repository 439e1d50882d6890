/* SPDX-License-Identifier: Apache-2.0 */
/* Documents in one list, their bytes in a block a portion. */
#include "corpus.h"

#include <stdlib.h>
#include <string.h>

#include "records.h"

static const char *path, *text_column, *id_column;
static uint32_t format;

const cli_option cli_corpus_options[] = {
    {"file", 'f', CLI_TEXT, &path, "FILE", "the texts to search"},
    {"file-input", 0, CLI_CHOICE, &format, "auto|lines|csv|tsv|jsonl",
     "what FILE holds; auto: a table where its name ends in .csv, .tsv, .jsonl or .ndjson, else a "
     "text a line"},
    {"file-text", 0, CLI_TEXT, &text_column, "COLUMN",
     "of a table: the column of the text (default: text)"},
    {"id", 0, CLI_TEXT, &id_column, "COLUMN",
     "of a table: the column that hits carry as their id (default: id, where there is one)"},
    {0},
};

static cli_document *documents;
static uint64_t n_documents;
static char **blocks;
static size_t n_blocks;

const char *cli_corpus_path(void)
{
    return path;
}

uint64_t cli_corpus_size(void)
{
    return n_documents;
}

const cli_document *cli_corpus_document(uint64_t row)
{
    return &documents[row];
}

static const sqz_field *find_id(const sqz_row *row)
{
    const char *name = id_column ? id_column : "id";
    const size_t n = strlen(name);
    for (uint32_t f = 0; f < row->n_fields; f++)
        if (row->fields[f].name.n_bytes == n && memcmp(row->fields[f].name.bytes, name, n) == 0)
            return &row->fields[f];
    if (id_column)
        cli_die(CLI_BAD_FILE, "%s: line %llu: there is no column '%s'; name one with --id", path,
                (unsigned long long)row->line, id_column);
    return NULL;
}

static sqz_text copy(char **to, sqz_text text)
{
    const sqz_text copied = {*to, text.n_bytes};
    if (text.n_bytes) memcpy(*to, text.bytes, text.n_bytes);
    *to += text.n_bytes;
    return copied;
}

/* Room for the bytes of a portion, kept for good. */
static char *take_block(const sqz_row *row, uint32_t n)
{
    size_t bytes = 0;
    for (uint32_t r = 0; r < n; r++) {
        if (row[r].status != SQZ_OK)
            cli_die(CLI_BAD_FILE, "%s: line %llu: %s", path, (unsigned long long)row[r].line,
                    row[r].fault);
        const sqz_field *id = find_id(&row[r]);
        bytes += row[r].text.n_bytes + (id ? id->value.n_bytes : 0);
    }
    blocks = cli_allocate(blocks, (n_blocks + 1) * sizeof *blocks);
    return blocks[n_blocks++] = cli_allocate(NULL, bytes);
}

static void keep(const sqz_row *row, uint32_t n)
{
    char *at = take_block(row, n);
    documents = cli_allocate(documents, (n_documents + n) * sizeof *documents);
    for (uint32_t r = 0; r < n; r++) {
        const sqz_field *id = find_id(&row[r]);
        cli_document *d = &documents[n_documents++];
        *d = (cli_document){.text = copy(&at, row[r].text), .line = row[r].line};
        if (!id) continue;
        d->id = copy(&at, id->value);
        d->id_json = id->json;
    }
}

void cli_read_corpus(void (*add)(const cli_document *documents, uint32_t n))
{
    const sqz_row *row;
    if (!path) cli_die(CLI_USAGE, "--file FILE is missing: which texts should be searched?");
    sqz_rows *rows = cli_open_rows(path, format, text_column ? text_column : "text",
                                   "--file-text names a column, --file-input says what it holds");
    if ((text_column || id_column) && sqz_rows_kind(rows) == SQZ_ROWS_LINES)
        cli_die(CLI_USAGE, "--file-text and --id name columns: say --file-input csv, tsv or jsonl");
    for (uint32_t n; (n = cli_next_rows(rows, &row)) > 0;) {
        keep(row, n);
        add(&documents[n_documents - n], n);
    }
    if (!n_documents) cli_die(CLI_BAD_FILE, "%s: holds no text", path);
    cli_say_lines(rows);
    sqz_rows_close(rows);
}

void cli_free_corpus(void)
{
    for (size_t b = 0; b < n_blocks; b++) free(blocks[b]);
    free(blocks);
    free(documents);
}
