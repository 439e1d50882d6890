/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors lie in memory until the file is written: tiny models only. */
#define _POSIX_C_SOURCE 200809L
#include "support/tiny_model.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "io/checksum.h"
#include "io/packed_rows.h"
#include "nn/encoder.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST_PERMUTED = 512 };

/* What is being written. */
typedef struct build {
    const sqzt_tiny *tiny;
    sqzi_gguf_writer *writer;
    sqzt_random random;
    /* the permutations of the linear that is being written */
    uint32_t in[MOST_PERMUTED], out[MOST_PERMUTED];
    void *kept[1024];
    size_t n_kept;
} build;

static void *keep(build *b, size_t bytes)
{
    void *data = malloc(bytes);
    assert_non_null(data);
    assert_true(b->n_kept < sizeof b->kept / sizeof *b->kept);
    return b->kept[b->n_kept++] = data;
}

static void put_bf16(build *b, const char *name, const uint64_t *shape, const float *data)
{
    const size_t n = (size_t)(shape[0] * shape[1]);
    uint16_t *halves = keep(b, n * sizeof *halves);
    for (size_t i = 0; i < n; i++) halves[i] = sqzi_to_bf16(data[i]);
    sqzi_gguf_put_tensor(b->writer, name, SQZI_BF16, 2, shape, halves);
}

static void put_s8(build *b, const char *name, const uint64_t *shape, const float *data)
{
    const size_t rows = (size_t)shape[0], columns = (size_t)shape[1];
    char scale_name[96];
    int8_t *bytes = keep(b, rows * columns);
    float *scale = keep(b, rows * sizeof *scale);
    for (size_t i = 0; i < rows; i++) {
        float largest = 0;
        for (size_t j = 0; j < columns; j++) largest = fmaxf(largest, fabsf(data[i * columns + j]));
        scale[i] = largest / 127;
        for (size_t j = 0; j < columns; j++)
            bytes[i * columns + j] = (int8_t)lrintf(data[i * columns + j] / scale[i]);
    }
    sqzi_gguf_put_tensor(b->writer, name, SQZI_S8, 2, shape, bytes);
    snprintf(scale_name, sizeof scale_name, "%s.scale", name);
    sqzi_gguf_put_tensor(b->writer, scale_name, SQZI_F32, 1, shape, scale);
}

/* Each group's step cuts nothing off; the widest one's is the largest multiplier's. */
static void put_packed(build *b, const char *name, const uint64_t *shape, const float *data)
{
    const size_t rows = (size_t)shape[0], n = (size_t)shape[1], groups = sqzi_packed_groups(n);
    const uint32_t bits = b->tiny->bits;
    const float most = (float)sqzi_packed_most(bits), step = (float)sqzi_packed_step(bits),
                lowest = (float)sqzi_packed_lowest(bits), top = (float)(1u << bits) - 1,
                reach = lowest + step * top;
    const size_t bytes = sqzi_packed_row_bytes(bits, n);
    char full[96];
    int8_t *numbers = keep(b, rows * n);
    uint8_t *packed = keep(b, rows * bytes), *multipliers = keep(b, groups);
    float *scale = keep(b, rows * sizeof *scale), *wanted = keep(b, groups * sizeof *wanted);
    for (size_t r = 0; r < rows; r++) {
        const float *row = data + r * n;
        float widest = 0;
        memset(wanted, 0, groups * sizeof *wanted);
        for (size_t i = 0; i < n; i++)
            wanted[i / SQZI_PACKED_GROUP] =
                fmaxf(wanted[i / SQZI_PACKED_GROUP], fabsf(row[i]) / reach);
        for (size_t g = 0; g < groups; g++) widest = fmaxf(widest, wanted[g]);
        scale[r] = widest / most;
        for (size_t g = 0; g < groups; g++)
            multipliers[g] = (uint8_t)fmaxf(1, rintf(wanted[g] / scale[r]));
        for (size_t i = 0; i < n; i++) {
            const float m = multipliers[i / SQZI_PACKED_GROUP],
                        code = rintf((row[i] / (scale[r] * m) - lowest) / step);
            numbers[r * n + i] = (int8_t)(m * (lowest + step * fminf(fmaxf(code, 0), top)));
        }
        sqzi_packed_put(bits, n, numbers + r * n, multipliers, packed + r * bytes);
    }
    snprintf(full, sizeof full, "%s.s%u", name, (unsigned)bits);
    if (b->tiny->expanded) sqzi_gguf_put_tensor(b->writer, name, SQZI_S8, 2, shape, numbers);
    else sqzi_gguf_put_tensor(b->writer, full, SQZI_S8, 2, (uint64_t[]){rows, bytes}, packed);
    snprintf(full, sizeof full, "%s.scale", name);
    sqzi_gguf_put_tensor(b->writer, full, SQZI_F32, 1, shape, scale);
}

/* Where what is drawn comes to lie: row r at out[r], and of group g, of `rows` rows, column i at
 * what in[g * columns + i] is within the group; NULL: as drawn. */
typedef struct places {
    const uint32_t *in, *out;
    uint32_t rows;
} places;

static void put_at(build *b, const char *name, uint32_t rows, uint32_t columns, double deviation,
                   double offset, places order)
{
    const uint64_t shape[] = {rows, columns};
    const size_t n = (size_t)rows * (columns ? columns : 1), width = columns ? columns : 1;
    const bool typed = columns &&
                       (strncmp(name, "blk.", 4) == 0 || strcmp(name, "token_embd.weight") == 0 ||
                        (b->tiny->bits && (strcmp(name, "position_embd.weight") == 0 ||
                                           strcmp(name, "token_embd.projection") == 0)));
    if (b->tiny->drop && strcmp(name, b->tiny->drop) == 0) return;
    float *data = keep(b, n * sizeof *data);
    for (size_t i = 0; i < n; i++) {
        const size_t row = i / width, column = i % width;
        const size_t row_place = order.out ? order.out[row] : row,
                     column_place = order.in ? order.in[row / order.rows * width + column] % width
                                             : column;
        data[row_place * width + column_place] = (float)(offset +
                                                         deviation * sqzt_normal(&b->random));
    }
    if (b->tiny->poison && strcmp(name, b->tiny->poison) == 0)
        memset(data + n / 2, 0xFF, sizeof *data);
    if (typed && b->tiny->type == SQZI_BF16) put_bf16(b, name, shape, data);
    else if (typed && b->tiny->bits) put_packed(b, name, shape, data);
    else if (typed && b->tiny->type == SQZI_S8) put_s8(b, name, shape, data);
    else sqzi_gguf_put_tensor(b->writer, name, SQZI_F32, columns ? 2 : 1, shape, data);
}

static void put(build *b, const char *name, uint32_t rows, uint32_t columns, double deviation,
                double offset)
{
    put_at(b, name, rows, columns, deviation, offset, (places){NULL, NULL, 1});
}

static void put_norm(build *b, const char *name, uint32_t n)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    put(b, full, n, 0, 0.1, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    put(b, full, n, 0, 0.1, 0);
}

/* A random permutation; with `kept` of each part of so many numbers. */
static void shuffle(build *b, uint32_t *order, uint32_t n)
{
    const uint32_t part = b->tiny->kept ? b->tiny->kept : n;
    assert_true(n <= MOST_PERMUTED && n % part == 0);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t first = i / part * part,
                       j = first + (uint32_t)sqzt_below(&b->random, i - first + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

/* The permutations of a linear of the blocks, which come before its weights. */
static void put_permutations(build *b, const char *linear, uint32_t n_in, uint32_t n_out)
{
    const uint32_t *sides[] = {b->in, b->out}, n[] = {n_in, n_out};
    const bool shares = b->tiny->same_inner && strstr(linear, "ffn_down");
    if (!b->tiny->permuted) return;
    if (shares) memcpy(b->in, b->out, n_in * sizeof *b->in); /* ffn_up's */
    else shuffle(b, b->in, n_in);
    shuffle(b, b->out, n_out);
    for (int side = 0; side < 2 && !b->tiny->placed; side++) {
        char key[96];
        snprintf(key, sizeof key, "sqz.permutation.%s.%s", linear, side ? "out" : "in");
        sqzi_gguf_put_u32s(b->writer, key, sides[side], n[side]);
    }
}

static void put_linear(build *b, const char *name, uint32_t n_in, uint32_t n_out, uint32_t groups,
                       uint32_t rank)
{
    char full[96];
    if (groups == 0) groups = 1;
    const uint32_t *in = b->tiny->placed ? b->in : NULL, *out = b->tiny->placed ? b->out : NULL;
    put_permutations(b, name, n_in, n_out);
    if (!rank || b->tiny->sum) {
        snprintf(full, sizeof full, "%s.weight", name);
        put_at(b, full, n_out, n_in / groups, 0.3, 0, (places){in, out, n_out / groups});
    }
    if (rank) {
        snprintf(full, sizeof full, "%s.a", name);
        const uint32_t factor_groups = b->tiny->factor_groups ? b->tiny->factor_groups : 1;
        put_at(b, full, rank * factor_groups, n_in / factor_groups, 0.3, 0,
               (places){in, NULL, rank});
        snprintf(full, sizeof full, "%s.b", name);
        put_at(b, full, n_out, rank, 0.3, 0, (places){NULL, out, n_out});
    }
    snprintf(full, sizeof full, "%s.bias", name);
    put_at(b, full, n_out, 0, 0.1, 0, (places){NULL, out, n_out});
}

static const char *const linear_names[] = {"attn_q",      "attn_k", "attn_v",
                                           "attn_output", "ffn_up", "ffn_down"};

/* A number of a block: the same for all, but for what the form changes in the last one. */
static uint32_t of_block(const sqzt_tiny *t, uint32_t i, uint32_t value, uint32_t last)
{
    return i + 1 == t->blocks && last ? last : value ? value : 1;
}

static void put_block(build *b, uint32_t i)
{
    const sqzt_tiny *t = b->tiny;
    const uint32_t attended = t->heads * t->head_width,
                   ffn_width = of_block(t, i, t->ffn_width, t->last_ffn_width);
    const uint32_t n_in[] = {t->width, t->width, t->width, attended, t->width, ffn_width};
    const uint32_t n_out[] = {attended, attended, attended, t->width, ffn_width, t->width};
    char name[64];
    for (int j = 0; j < 6; j++) {
        snprintf(name, sizeof name, "blk.%u.%s", (unsigned)i, linear_names[j]);
        put_linear(b, name, n_in[j], n_out[j],
                   of_block(t, i, t->groups[j], j == 0 ? t->last_groups : 0), t->rank);
    }
    snprintf(name, sizeof name, "blk.%u.attn_output_norm", (unsigned)i);
    put_norm(b, name, t->width);
    snprintf(name, sizeof name, "blk.%u.layer_output_norm", (unsigned)i);
    put_norm(b, name, t->width);
}

static void put_block_u32(build *b, const char *name, uint32_t value, uint32_t last)
{
    char key[96];
    uint32_t values[8];
    assert_true(b->tiny->blocks <= 8);
    for (uint32_t i = 0; i < b->tiny->blocks; i++) values[i] = of_block(b->tiny, i, value, last);
    snprintf(key, sizeof key, "sqz.block.%s", name);
    sqzi_gguf_put_u32s(b->writer, key, values, b->tiny->blocks);
}

static void describe(build *b)
{
    const sqzt_tiny *t = b->tiny;
    sqzi_gguf_writer *w = b->writer;
    double epsilon[8];
    sqzi_span gelu[8];
    for (int i = 0; i < 8; i++) {
        epsilon[i] = 1e-12;
        gelu[i] = sqzi_span_of("gelu");
    }
    sqzi_gguf_put_string(w, "general.architecture", "sqz-encoder");
    sqzi_gguf_put_string(w, "general.name", "tiny");
    sqzi_gguf_put_u32(w, "sqz.version", 1);
    sqzi_gguf_put_u32(w, "sqz.width", t->width);
    sqzi_gguf_put_u32(w, "sqz.blocks", t->blocks);
    sqzi_gguf_put_u32(w, "sqz.vocabulary", SQZT_TINY_VOCABULARY);
    sqzi_gguf_put_u32(w, "sqz.max_positions", t->positions);
    sqzi_gguf_put_u32(w, "sqz.token_types", t->token_types);
    sqzi_gguf_put_u32(w, "sqz.embedding.width", t->embedding_width);
    if (t->bits && t->factorised) sqzi_gguf_put_u32(w, "sqz.embedding.factor", t->factorised);
    const sqzi_span bare = sqzi_span_of("bare_embedding");
    if (t->bare) sqzi_gguf_put_strings(w, "sqz.requires", &bare, 1);
    else sqzi_gguf_put_f64(w, "sqz.embedding.norm_epsilon", 1e-12);
    put_block_u32(b, "heads", t->heads, 0);
    put_block_u32(b, "head_width", t->head_width, 0);
    put_block_u32(b, "ffn_width", t->ffn_width, t->last_ffn_width);
    sqzi_gguf_put_f64s(w, "sqz.block.attn_norm_epsilon", epsilon, t->blocks);
    sqzi_gguf_put_f64s(w, "sqz.block.ffn_norm_epsilon", epsilon, t->blocks);
    sqzi_gguf_put_strings(w, "sqz.block.activation", gelu, t->blocks);
    for (int j = 0; j < 6; j++) {
        char name[64];
        snprintf(name, sizeof name, "%s.groups", linear_names[j]);
        put_block_u32(b, name, t->groups[j], j == 0 ? t->last_groups : 0);
        snprintf(name, sizeof name, "%s.factor_groups", linear_names[j]);
        if (t->factor_groups) put_block_u32(b, name, t->factor_groups, 0);
    }
}

static void put_head(build *b)
{
    const sqzt_tiny *t = b->tiny;
    const bool whole = t->head && strcmp(t->head, "sequence") == 0,
               tied = t->head && strcmp(t->head, "masked_lm") == 0;
    if (!t->no_pooler) {
        put(b, "pooler.weight", t->width, t->width, 0.3, 0);
        put(b, "pooler.bias", t->width, 0, 0.1, 0);
    }
    if (!t->head) return;
    sqzi_gguf_put_string(b->writer, "sqz.head.kind", t->head);
    sqzi_gguf_put_string(b->writer, "sqz.head.pool",
                         whole ? (t->pool ? t->pool : "pooler") : "none");
    if (tied) {
        put(b, "head.dense.weight", t->embedding_width, t->width, 0.3, 0);
        put(b, "head.dense.bias", t->embedding_width, 0, 0.1, 0);
        put_norm(b, "head.norm", t->embedding_width);
        put(b, "head.output.bias", SQZT_TINY_VOCABULARY, 0, 0.1, 0);
        sqzi_gguf_put_string(b->writer, "sqz.head.activation", "gelu");
        sqzi_gguf_put_bool(b->writer, "sqz.head.tied", true);
        return;
    }
    if (t->head_dense) {
        put(b, "head.dense.weight", t->width, t->width, 0.3, 0);
        put(b, "head.dense.bias", t->width, 0, 0.1, 0);
        sqzi_gguf_put_string(b->writer, "sqz.head.activation", "tanh");
    }
    put(b, "head.output.weight", t->classes, t->width, 0.3, 0);
    put(b, "head.output.bias", t->classes, 0, 0.1, 0);
    if (strcmp(t->head, "question") == 0) return;
    sqzi_span labels[] = {sqzi_span_of("O"), sqzi_span_of("B-one"), sqzi_span_of("I-one"),
                          sqzi_span_of("B-two"), sqzi_span_of("I-two")};
    assert_true(t->classes <= 5);
    for (uint32_t k = 0; t->labels && k < t->classes; k++) labels[k] = sqzi_span_of(t->labels[k]);
    sqzi_gguf_put_strings(b->writer, "sqz.head.labels", labels, t->classes);
}

static void put_prompts(build *b)
{
    const sqzt_tiny *t = b->tiny;
    sqzi_span names[4], texts[4];
    size_t n = 0;
    for (; n < 4 && t->prompts[2 * n]; n++) {
        names[n] = sqzi_span_of(t->prompts[2 * n]);
        texts[n] = sqzi_span_of(t->prompts[2 * n + 1]);
    }
    if (n) sqzi_gguf_put_strings(b->writer, "sqz.prompts.names", names, n);
    if (n) sqzi_gguf_put_strings(b->writer, "sqz.prompts.texts", texts, n);
    if (t->default_prompt)
        sqzi_gguf_put_string(b->writer, "sqz.prompts.default", t->default_prompt);
    if (t->exclude_prompt) sqzi_gguf_put_bool(b->writer, "sqz.include_prompt", false);
}

/* Pooling and what is behind it. */
static void put_embedding(build *b)
{
    const sqzt_tiny *t = b->tiny;
    sqzi_span words[6];
    uint32_t n = 0, width = t->width;
    char name[48];
    for (; n < 6 && t->steps[n]; n++) {
        words[n] = sqzi_span_of(t->steps[n]);
        if (strcmp(t->steps[n], "normalize") == 0) continue;
        snprintf(name, sizeof name, "embd_step.%u", (unsigned)n);
        if (strcmp(t->steps[n], "norm") == 0) {
            put_norm(b, name, width);
            continue;
        }
        snprintf(name, sizeof name, "embd_step.%u.weight", (unsigned)n);
        put(b, name, t->step_width, width, 0.3, 0);
        snprintf(name, sizeof name, "embd_step.%u.bias", (unsigned)n);
        put(b, name, t->step_width, 0, 0.1, 0);
        width = t->step_width;
    }
    if (n) sqzi_gguf_put_strings(b->writer, "sqz.embed.steps", words, n);
    if (t->embed_pool) sqzi_gguf_put_string(b->writer, "sqz.pool", t->embed_pool);
    if (t->similarity) sqzi_gguf_put_string(b->writer, "sqz.similarity", t->similarity);
    put_prompts(b);
}

static void put_tokenizer(sqzi_gguf_writer *w)
{
    static const char *const words[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "good",
                                        "bad",   "film",  "was",   "##ing", "##ed",   "un",  ".",
                                        ",",     "?",     "!",     "'",     "0",      "1"};
    enum { WORDS = sizeof words / sizeof *words };
    static char letters[26][2], continued[26][4];
    sqzi_span pieces[SQZT_TINY_VOCABULARY], added[5];
    for (size_t i = 0; i < 26; i++) {
        snprintf(letters[i], sizeof letters[i], "%c", (char)('a' + i));
        snprintf(continued[i], sizeof continued[i], "##%c", (char)('a' + i));
        pieces[WORDS + i] = sqzi_span_of(letters[i]);
        pieces[WORDS + 26 + i] = sqzi_span_of(continued[i]);
    }
    for (size_t i = 0; i < WORDS; i++) pieces[i] = sqzi_span_of(words[i]);
    for (size_t i = 0; i < 5; i++) added[i] = pieces[i];
    const uint32_t ids[] = {0, 1, 2, 3, 4}, flags[] = {1, 1, 1, 1, 1};
    const sqzi_span single[] = {sqzi_span_of("[CLS]:0"), sqzi_span_of("$A:0"),
                                sqzi_span_of("[SEP]:0")};
    const sqzi_span pair[] = {single[0], single[1], single[2], sqzi_span_of("$B:1"),
                              sqzi_span_of("[SEP]:1")};
    sqzi_gguf_put_string(w, "tokenizer.ggml.model", "bert");
    sqzi_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, SQZT_TINY_VOCABULARY);
    sqzi_gguf_put_u32(w, "tokenizer.ggml.padding_token_id", 0);
    sqzi_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 1);
    sqzi_gguf_put_u32(w, "tokenizer.ggml.cls_token_id", 2);
    sqzi_gguf_put_u32(w, "tokenizer.ggml.seperator_token_id", 3);
    sqzi_gguf_put_u32(w, "tokenizer.ggml.mask_token_id", 4);
    static const char *const options[] = {"clean_text", "handle_chinese_chars", "strip_accents",
                                          "lowercase"};
    for (size_t i = 0; i < 4; i++) {
        char key[64];
        snprintf(key, sizeof key, "sqz.tokenizer.%s", options[i]);
        sqzi_gguf_put_bool(w, key, true);
    }
    sqzi_gguf_put_string(w, "sqz.tokenizer.prefix", "##");
    sqzi_gguf_put_u32(w, "sqz.tokenizer.max_word_chars", 100);
    sqzi_gguf_put_u32s(w, "sqz.tokenizer.added.ids", ids, 5);
    sqzi_gguf_put_strings(w, "sqz.tokenizer.added.texts", added, 5);
    sqzi_gguf_put_u32s(w, "sqz.tokenizer.added.flags", flags, 5);
    sqzi_gguf_put_strings(w, "sqz.tokenizer.template.single", single, 3);
    sqzi_gguf_put_strings(w, "sqz.tokenizer.template.pair", pair, 5);
}

/* Codes, and centroids whose numbers are up to 1.5. */
static void put_product(build *b, uint32_t width)
{
    const uint32_t parts = b->tiny->parts, n = parts * SQZI_CENTROIDS;
    const uint64_t shape[] = {SQZT_TINY_VOCABULARY, parts}, centroid_shape[] = {n, width / parts};
    unsigned char *codes = keep(b, (size_t)SQZT_TINY_VOCABULARY * parts);
    unsigned char *centroids = keep(b, (size_t)SQZI_CENTROIDS * width);
    for (uint32_t i = 0; i < SQZT_TINY_VOCABULARY * parts; i++)
        codes[i] = (unsigned char)sqzt_below(&b->random, SQZI_CENTROIDS);
    for (uint32_t i = 0; i < SQZI_CENTROIDS * width; i++)
        centroids[i] = (unsigned char)(sqzt_below(&b->random, 255) - 127);
    sqzi_gguf_put_tensor(b->writer, "token_embd.codes", SQZI_S8, 2, shape, codes);
    sqzi_gguf_put_tensor(b->writer, "token_embd.centroids", SQZI_S8, 2, centroid_shape, centroids);
    put(b, "token_embd.centroids.scale", n, 0, 0.001, 0.008);
}

static void put_encoder(build *b)
{
    const sqzt_tiny *t = b->tiny;
    const uint32_t word_width = t->factorised ? t->factorised : t->embedding_width;
    if (t->parts) put_product(b, word_width);
    else put(b, "token_embd.weight", SQZT_TINY_VOCABULARY, word_width, 0.5, 0);
    if (t->factorised) put(b, "token_embd.projection", t->embedding_width, t->factorised, 0.5, 0);
    if (!t->bare) put(b, "position_embd.weight", t->positions, t->embedding_width, 0.3, 0);
    if (t->token_types) put(b, "token_types.weight", t->token_types, t->embedding_width, 0.3, 0);
    if (!t->bare) put_norm(b, "token_embd_norm", t->embedding_width);
    if (t->embedding_width != t->width) {
        put(b, "embd_output.weight", t->width, t->embedding_width, 0.3, 0);
        put(b, "embd_output.bias", t->width, 0, 0.1, 0);
    }
    for (uint32_t i = 0; i < t->blocks; i++) put_block(b, i);
}

void sqzt_tiny_write(const sqzt_tiny *tiny, const char *path)
{
    sqz_error error = {0};
    build b = {.tiny = tiny, .random = sqzt_random_of(tiny->seed)};
    sqzt_assert_ok(sqzi_gguf_writer_open(&sqzi_default_allocator, &b.writer, &error), &error);
    describe(&b);
    put_tokenizer(b.writer);
    put_encoder(&b);
    put_head(&b);
    put_embedding(&b);
    if (tiny->extra) put(&b, tiny->extra, 3, 0, 1, 0);
    sqzi_file_writer file;
    sqzt_assert_ok(sqzi_file_writer_open(path, &file, &error), &error);
    sqzt_assert_ok(sqzi_gguf_write(b.writer, &file, &error), &error);
    sqzt_assert_ok(sqzi_checksum_put(&sqzi_default_allocator, &file, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_commit(&file, &error), &error);
    sqzi_gguf_writer_close(b.writer);
    for (size_t i = 0; i < b.n_kept; i++) free(b.kept[i]);
}

static char folder[64];

static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (folder[0] && system(command) != 0) fprintf(stderr, "cannot remove %s\n", folder);
}

const char *sqzt_temporary(const char *name)
{
    static char paths[2][256];
    static int turn;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/sqz-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
        atexit(remove_folder);
    }
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

unsigned sqzt_count_files(const char *path)
{
    unsigned n = 0;
    DIR *entries = opendir(path);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return n;
}
