/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for the end-to-end times. A text of the file is cut behind the piece that makes its length,
 * so that tokenising reads no more than it uses; words of the vocabulary are one piece each, which
 * is easier than real text. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "records.h"

enum { SPECIAL_TOKENS = 2, LONGEST_WORD = 16, BYTES_A_PIECE = 16 };

/* The file of --text, read once. */
static char *file_bytes;
static size_t file_length, file_at;
static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

/* A blank stands between texts. */
static void read_file(const char *path)
{
    enum { MOST_BYTES = 16 << 20 }; /* far more than a batch has */
    sqz_rows *rows = cli_open_rows(path, 0, "text", "a table needs a column of this name");
    const cli_texts texts = cli_read_texts(rows, MOST_BYTES);
    sqz_rows_close(rows);
    free(texts.ends);
    file_bytes = texts.bytes;
    file_length = texts.n_bytes;
}

/* Copies `n` bytes of the file, from where the last copy ended and over again. */
static void copy_from_file(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = file_bytes[file_at];
        file_at = (file_at + 1) % file_length;
    }
}

static bool is_word(const char *piece)
{
    size_t n = 0;
    while (piece[n] >= 'a' && piece[n] <= 'z') n++;
    return n > 0 && n < LONGEST_WORD && !piece[n];
}

/* `pieces` whole words of the vocabulary; returns the bytes written. */
static size_t write_words(const sqz_tokenizer *tokenizer, uint32_t pieces, char *to)
{
    size_t used = 0;
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t id = below(sqz_tokenizer_size(tokenizer)), tried = 0;
        while (!is_word(sqz_tokenizer_piece(tokenizer, id)))
            if (tried++ == sqz_tokenizer_size(tokenizer))
                cli_die(CLI_BAD_FILE, "the vocabulary has no whole word of a-z: give --text FILE");
            else id = (id + 1) % sqz_tokenizer_size(tokenizer);
        const char *word = sqz_tokenizer_piece(tokenizer, id);
        const size_t n = strlen(word);
        memcpy(to + used, word, n);
        to[used + n] = ' ';
        used += n + 1;
    }
    return used;
}

/* The bytes of the text that make `pieces` pieces, or 0 where it has fewer. */
static size_t bytes_for(const sqz_model *model, sqz_text text, uint32_t pieces)
{
    sqz_error error = {0};
    sqz_encoding *encoding;
    size_t bytes = 0;
    cli_check(sqz_encoding_open(sqz_model_context(model), &encoding, &error), &error);
    cli_check(sqz_tokenize(sqz_model_tokenizer(model), text, NULL,
                           &(sqz_tokenize_options){.max_length = pieces + SPECIAL_TOKENS}, encoding,
                           &error),
              &error);
    if (sqz_encoding_first(encoding, 1) == pieces + SPECIAL_TOKENS)
        bytes = sqz_encoding_pieces(encoding)[pieces].end_byte;
    sqz_encoding_close(encoding);
    return bytes;
}

/* One text; returns the bytes that make its pieces. */
static size_t write_text(const sqz_model *model, uint32_t pieces, const char *path, char *to)
{
    const size_t room = (size_t)BYTES_A_PIECE * pieces;
    if (!path) return write_words(sqz_model_tokenizer(model), pieces, to);
    copy_from_file(to, room);
    size_t bytes = bytes_for(model, (sqz_text){to, room}, pieces);
    if (!bytes)
        cli_die(CLI_BAD_FILE,
                "%s: %zu bytes of it make fewer than %u pieces; give a text of common words", path,
                room, pieces);
    return bytes;
}

bench_texts bench_make_texts(const sqz_model *model, const bench_shape *shape, const char *path)
{
    bench_texts made = {.texts = cli_allocate(NULL, shape->n * sizeof *made.texts),
                        .bytes = cli_allocate(NULL, (size_t)BYTES_A_PIECE * shape->n_tokens)};
    char *at = made.bytes;
    if (path && !file_bytes) read_file(path);
    for (uint32_t b = 0; b < shape->n; b++) {
        if (shape->lengths[b] <= SPECIAL_TOKENS)
            cli_die(CLI_USAGE,
                    "--stages needs lengths of at least %d: two of the pieces are special tokens",
                    SPECIAL_TOKENS + 1);
        const uint32_t pieces = shape->lengths[b] - SPECIAL_TOKENS;
        made.texts[b] = (sqz_text){at, write_text(model, pieces, path, at)};
        at += (size_t)BYTES_A_PIECE * pieces;
    }
    return made;
}

void bench_free_texts(bench_texts *texts)
{
    free(texts->texts);
    free(texts->bytes);
}
