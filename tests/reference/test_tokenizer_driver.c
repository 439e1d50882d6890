/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tokenizer for tokenizer_strings.py: a description from a file, texts from standard
 * input, pieces to standard output. All numbers are little-endian u32, as this machine's; what is
 * read comes from the script beside it and is trusted.
 *
 *   description  clean chinese strip lower max_word_chars n_pieces n_added n_single n_pair unk cls
 *                sep pad mask, then the pieces (length, bytes), added tokens (id, flags, length,
 *                bytes), template items (id, sequence, type)
 *   a request    n_first n_second(or ~0) max_length truncation stride windows no_special literal,
 *                bytes of both
 *   an answer    status cut n_windows first[n_windows + 1], then seven numbers a piece
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "text/tokenizer_spec.h"

static void *must(void *memory)
{
    if (!memory) {
        fputs("no memory\n", stderr);
        exit(4);
    }
    return memory;
}

static bool get(FILE *stream, void *data, size_t bytes)
{
    return bytes == 0 || fread(data, 1, bytes, stream) == bytes;
}

static uint32_t number(FILE *stream)
{
    uint32_t x = 0;
    if (!get(stream, &x, sizeof x)) {
        fputs("the description is cut short\n", stderr);
        exit(3);
    }
    return x;
}

static sqzi_span spelling(FILE *stream)
{
    const uint32_t n = number(stream);
    char *bytes = must(malloc(n + 1u));
    if (!get(stream, bytes, n)) exit(3);
    return (sqzi_span){bytes, n};
}

static sqzi_template_item *items(FILE *stream, uint32_t n)
{
    sqzi_template_item *list = must(calloc(n + 1u, sizeof *list));
    for (uint32_t i = 0; i < n; i++) {
        list[i].id = number(stream);
        list[i].sequence = (uint8_t)number(stream);
        list[i].type = (uint8_t)number(stream);
    }
    return list;
}

static sqzi_tokenizer_spec read_spec(FILE *stream)
{
    sqzi_tokenizer_spec spec = {.prefix = sqzi_span_of("##")};
    spec.clean_text = number(stream);
    spec.handle_chinese_chars = number(stream);
    spec.strip_accents = number(stream);
    spec.lowercase = number(stream);
    spec.max_word_chars = number(stream);
    spec.n_pieces = number(stream);
    spec.n_added = number(stream);
    spec.n_single = number(stream);
    spec.n_pair = number(stream);
    uint32_t *special[] = {&spec.special.unk, &spec.special.cls, &spec.special.sep,
                           &spec.special.pad, &spec.special.mask};
    for (int i = 0; i < 5; i++) *special[i] = number(stream);
    sqzi_span *pieces = must(calloc(spec.n_pieces + 1u, sizeof *pieces));
    for (uint32_t i = 0; i < spec.n_pieces; i++) pieces[i] = spelling(stream);
    sqzi_added_token *added = must(calloc(spec.n_added + 1u, sizeof *added));
    for (uint32_t i = 0; i < spec.n_added; i++) {
        added[i].id = number(stream);
        added[i].flags = number(stream);
        added[i].text = spelling(stream);
    }
    spec.pieces = pieces;
    spec.added = added;
    spec.single = items(stream, spec.n_single);
    spec.pair = items(stream, spec.n_pair);
    return spec;
}

static void put(const void *data, size_t bytes)
{
    if (bytes && fwrite(data, 1, bytes, stdout) != bytes) exit(4);
}

static void answer(sqz_status status, const sqz_encoding *encoding)
{
    const uint32_t windows = status == SQZ_OK ? sqz_encoding_windows(encoding) : 0,
                   head[3] = {(uint32_t)status, status == SQZ_OK ? sqz_encoding_cut(encoding) : 0,
                              windows};
    put(head, sizeof head);
    if (status != SQZ_OK) return;
    for (uint32_t i = 0; i <= windows; i++) {
        const uint32_t first = sqz_encoding_first(encoding, i);
        put(&first, sizeof first);
    }
    const sqz_piece *pieces = sqz_encoding_pieces(encoding);
    const uint32_t *ids = sqz_encoding_ids(encoding);
    const uint8_t *types = sqz_encoding_types(encoding);
    for (uint32_t i = 0; i < sqz_encoding_first(encoding, windows); i++) {
        const sqz_piece *p = &pieces[i];
        if (ids[i] != p->id || types[i] != p->type) abort();
        const uint32_t row[7] = {p->id,
                                 p->begin_byte,
                                 p->end_byte,
                                 p->begin,
                                 p->end,
                                 p->word,
                                 p->type | (uint32_t)p->sequence << 8 | (uint32_t)p->special << 16};
        put(row, sizeof row);
    }
}

static bool serve(const sqz_tokenizer *tokenizer, sqz_encoding *encoding)
{
    uint32_t head[8];
    if (!get(stdin, head, sizeof head)) return false;
    const bool pair = head[1] != UINT32_MAX;
    /* blocks of the exact size, so that a sanitizer sees a byte too many */
    char *first = must(malloc(head[0] ? head[0] : 1)),
         *second = must(malloc(pair && head[1] ? head[1] : 1));
    if (!get(stdin, first, head[0]) || (pair && !get(stdin, second, head[1]))) exit(3);
    const sqz_text other = {second, pair ? head[1] : 0};
    const sqz_tokenize_options options = {head[2],      (sqz_truncation)head[3],
                                          head[4],      (int)head[5],
                                          (int)head[6], (int)head[7]};
    answer(sqz_tokenize(tokenizer, (sqz_text){first, head[0]}, pair ? &other : NULL, &options,
                        encoding, NULL),
           encoding);
    free(first);
    free(second);
    if (fflush(stdout)) exit(4); /* the script waits for it */
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    FILE *stream = fopen(argv[1], "rb");
    if (!stream) return 3;
    const sqzi_tokenizer_spec spec = read_spec(stream);
    sqz_error error;
    sqz_tokenizer *tokenizer = NULL;
    sqz_encoding *encoding = NULL;
    if (sqzi_tokenizer_open(&sqzi_default_allocator, &spec, &tokenizer, &error) != SQZ_OK ||
        sqzi_encoding_open(&sqzi_default_allocator, &encoding, &error) != SQZ_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 3;
    }
    while (serve(tokenizer, encoding)) {}
    sqz_encoding_close(encoding);
    sqzi_tokenizer_close(tokenizer);
    return fflush(stdout) ? 4 : 0;
}
