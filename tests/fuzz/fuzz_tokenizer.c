/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabularies and texts from a stranger. An input: four bytes of settings; lines of a vocabulary,
 * one that begins with byte 1 being an added token whose flags are its second byte; an empty line;
 * the text, with a second one behind a TAB where the settings ask for a pair. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "text/tokenizer_spec.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("##"),
    SQZT_TOKEN("[UNK]\n"),
    SQZT_TOKEN("\n\n"),
    SQZT_TOKEN("\1\x01[X]\n"),
    SQZT_TOKEN("\1\x1f<a>\n"),
    SQZT_TOKEN("\1\x10\xc3\x89\n"),
    SQZT_TOKEN("\t"),
    SQZT_TOKEN(" "),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("\xcc\x81"),
    SQZT_TOKEN("\xcc\xa3\xcc\x81"),
    SQZT_TOKEN("\xe1\xba\xad"),
    SQZT_TOKEN("\xc4\xb0"),
    SQZT_TOKEN("\xe4\xb8\xad"),
    SQZT_TOKEN("\xf0\x9f\x98\x80\xe2\x80\x8d"),
    SQZT_TOKEN("\xed\xa0\x80"),
    SQZT_TOKEN("\xf4\x90\x80\x80"),
    SQZT_TOKEN("\xe0\x80"),
    SQZT_TOKEN("\xff"),
    SQZT_TOKEN("\xe2\x80\xa8"),
    SQZT_TOKEN("\xea\xb0\x81"),
    SQZT_TOKEN("\xe0\xbd\xb1\xe0\xbd\xb2"),
    SQZT_TOKEN("[X]"),
    SQZT_TOKEN("<a>"),
    SQZT_TOKEN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

enum { SETTINGS = 4, MOST_PIECES = 4096 };

static sqzi_span pieces[MOST_PIECES];
static sqzi_added_token added[MOST_PIECES];

/* Fills pieces and added; returns where the text begins. */
static size_t read_vocabulary(const char *data, size_t n, sqzi_tokenizer_spec *spec)
{
    size_t at = SETTINGS;
    while (at < n && data[at] != '\n' && spec->n_pieces < MOST_PIECES &&
           spec->n_added < MOST_PIECES) {
        const char *newline = memchr(data + at, '\n', n - at);
        const size_t end = newline ? (size_t)(newline - data) : n;
        if (data[at] == 1 && end - at > 2)
            added[spec->n_added++] = (sqzi_added_token){.id = 0,
                                                        .text = {data + at + 2, end - at - 2},
                                                        .flags = (unsigned char)data[at + 1] & 63};
        else pieces[spec->n_pieces++] = (sqzi_span){data + at, end - at};
        at = newline ? end + 1 : n;
    }
    return at < n ? at + 1 : n;
}

static void check(const sqz_tokenizer *tokenizer, const sqz_encoding *encoding,
                  const size_t lengths[2], uint32_t most)
{
    const uint32_t windows = sqz_encoding_windows(encoding);
    const sqz_piece *piece = sqz_encoding_pieces(encoding);
    for (uint32_t w = 0; w < windows; w++) {
        const uint32_t begin = sqz_encoding_first(encoding, w),
                       end = sqz_encoding_first(encoding, w + 1);
        if (end < begin || (most && end - begin > most))
            sqzt_fuzz_breach("a window is longer than was asked for");
        for (uint32_t i = begin; i < end; i++) {
            if (piece[i].id != sqz_encoding_ids(encoding)[i] ||
                piece[i].type != sqz_encoding_types(encoding)[i])
                sqzt_fuzz_breach("ids and pieces differ");
            if (piece[i].id >= sqz_tokenizer_size(tokenizer) ||
                !sqz_tokenizer_piece(tokenizer, piece[i].id))
                sqzt_fuzz_breach("an id behind the vocabulary");
            if (piece[i].special) continue;
            if (piece[i].begin_byte >= piece[i].end_byte ||
                piece[i].end_byte > lengths[piece[i].sequence])
                sqzt_fuzz_breach("offsets outside of the text");
            if (piece[i].begin >= piece[i].end || piece[i].end > piece[i].end_byte)
                sqzt_fuzz_breach("code points outside of the text");
        }
    }
}

static void decode(const sqz_tokenizer *tokenizer, const sqz_encoding *encoding)
{
    size_t needed = 0, again = 0;
    const uint32_t n = sqz_encoding_first(encoding, sqz_encoding_windows(encoding));
    sqz_tokenizer_decode(tokenizer, sqz_encoding_ids(encoding), n, 1, NULL, 0, &needed);
    char *text = malloc(needed);
    if (!text) abort();
    sqz_tokenizer_decode(tokenizer, sqz_encoding_ids(encoding), n, 1, text, needed, &again);
    if (needed != again || text[needed - 1] != '\0')
        sqzt_fuzz_breach("the decoder says another length than it writes");
    free(text);
}

static void tokenize(const sqz_tokenizer *tokenizer, const uint8_t *settings, const char *text,
                     size_t n, const sqz_allocator *allocator)
{
    sqz_error error = {0};
    sqz_encoding *encoding = NULL;
    const char *tab = settings[1] & 1 ? memchr(text, '\t', n) : NULL;
    const sqz_text first = {text, tab ? (size_t)(tab - text) : n},
                   second = {tab ? tab + 1 : NULL, tab ? n - first.n_bytes - 1 : 0};
    const sqz_tokenize_options options = {.max_length = settings[2],
                                          .truncation = (sqz_truncation)(settings[1] >> 1 & 3),
                                          .stride = settings[3],
                                          .windows = settings[1] >> 3 & 1,
                                          .no_special_tokens = settings[1] >> 4 & 1,
                                          .literal_special_tokens = settings[1] >> 5 & 1};
    if (sqzi_encoding_open(allocator, &encoding, &error) != SQZ_OK) return;
    for (int turn = 0; turn < 2; turn++) { /* twice: an encoding is used again */
        if (sqz_tokenize(tokenizer, first, tab ? &second : NULL, &options, encoding, &error) !=
            SQZ_OK) {
            if (sqz_encoding_windows(encoding))
                sqzt_fuzz_breach("an encoding that is not empty after an error");
            break;
        }
        check(tokenizer, encoding, (const size_t[]){first.n_bytes, second.n_bytes},
              options.max_length);
        decode(tokenizer, encoding);
    }
    sqz_encoding_close(encoding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < SETTINGS) return 0;
    sqz_error error = {0};
    sqz_tokenizer *tokenizer = NULL;
    const char *bytes = (const char *)data;
    const sqzi_template_item single[] = {{.id = 0, .sequence = 255},
                                         {.sequence = 0},
                                         {.id = 0, .sequence = 255}};
    const sqzi_template_item pair[] = {{.id = 0, .sequence = 255},
                                       {.sequence = 0},
                                       {.id = 0, .sequence = 255},
                                       {.sequence = 1, .type = 1},
                                       {.id = 0, .sequence = 255, .type = 1}};
    sqzi_tokenizer_spec spec = {.pieces = pieces,
                                .clean_text = data[0] & 1,
                                .handle_chinese_chars = data[0] >> 1 & 1,
                                .strip_accents = data[0] >> 2 & 1,
                                .lowercase = data[0] >> 3 & 1,
                                .prefix = sqzi_span_of("##"),
                                .max_word_chars = data[0] & 16 ? 4000 : 100,
                                .special = {0, 0, 0, 0, 0},
                                .added = added,
                                .single = single,
                                .pair = pair,
                                .n_single = 3,
                                .n_pair = 5};
    const size_t text = read_vocabulary(bytes, n, &spec);
    const sqz_allocator allocator = sqzt_allocator(&sqzt_fuzz_memory);
    sqzt_fuzz_begin(n);
    if (sqzi_tokenizer_open(&allocator, &spec, &tokenizer, &error) == SQZ_OK) {
        tokenize(tokenizer, data, bytes + text, n - text, &allocator);
        sqzi_tokenizer_close(tokenizer);
    }
    sqzt_fuzz_end();
    return 0;
}
