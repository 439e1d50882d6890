/* SPDX-License-Identifier: Apache-2.0 */
/* The law of bits: a sequence's hidden states, logits and embedding are the same alone, in any
 * batch, with any number of threads, run after run, for every form of model, in f32 and quantised
 * to int8 and bf16, and every level of kernels that this CPU has. */
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

enum { SEQUENCES = 9, MAX_TOKENS = SEQUENCES * 300 };

static const sqz_session_options room = {.max_tokens = MAX_TOKENS, .max_sequences = SEQUENCES};

/* Random sequences of lengths 1 to the model's most. */
typedef struct texts {
    uint32_t first[SEQUENCES + 1], ids[MAX_TOKENS];
    uint8_t types[MAX_TOKENS];
} texts;

static texts random_texts(const sqz_model_info *info, uint64_t seed)
{
    texts t = {.first = {0}};
    sqzt_random random = sqzt_random_of(seed);
    for (uint32_t b = 0; b < SEQUENCES; b++) {
        const uint32_t length = b == 0   ? 1
                                : b == 1 ? info->max_positions
                                         : 1 + (uint32_t)sqzt_below(&random, info->max_positions);
        t.first[b + 1] = t.first[b] + length;
    }
    for (uint32_t i = 0; i < t.first[SEQUENCES]; i++) {
        t.ids[i] = (uint32_t)sqzt_below(&random, info->vocabulary);
        t.types[i] = info->n_token_types > 1 ? (uint8_t)sqzt_below(&random, info->n_token_types)
                                             : 0;
    }
    return t;
}

typedef struct results {
    float *hidden, *logits, *embedding;
    size_t hidden_n, logits_n, embedding_n; /* of a token, of a token or sequence, of a sequence */
    bool logits_per_token;
} results;

static results space_for(const sqz_model_info *info)
{
    results r = {.hidden_n = info->width,
                 .logits_n = info->n_labels,
                 .embedding_n = info->dimensions};
    r.logits_per_token = info->head != SQZ_HEAD_SEQUENCE;
    r.hidden = calloc(MAX_TOKENS * r.hidden_n, sizeof(float));
    r.logits = calloc(MAX_TOKENS * (r.logits_n ? r.logits_n : 1), sizeof(float));
    r.embedding = calloc(SEQUENCES * r.embedding_n, sizeof(float));
    assert_true(r.hidden && r.logits && r.embedding);
    return r;
}

static void discard(results *r)
{
    free(r->hidden);
    free(r->logits);
    free(r->embedding);
}

/* Run sequences [from, to) and put their results where those of the whole batch lie. */
static void run(const sqzt_opened *w, const texts *t, uint32_t from, uint32_t to, results *r)
{
    sqz_error error = {0};
    uint32_t first[SEQUENCES + 1];
    const uint32_t begin_token = t->first[from];
    for (uint32_t b = from; b <= to; b++) first[b - from] = t->first[b] - begin_token;
    const sqz_batch batch = {.n_sequences = to - from,
                             .first = first,
                             .ids = t->ids + begin_token,
                             .types = t->types + begin_token};
    sqzt_assert_ok(sqz_encode(w->session, &batch, r->hidden + begin_token * r->hidden_n,
                              r->hidden_n, &error),
                   &error);
    const sqz_embed_options options = {.normalize = SQZ_NORMALIZE_YES};
    sqzt_assert_ok(sqz_embed(w->session, &batch, &options, r->embedding + from * r->embedding_n,
                             r->embedding_n, &error),
                   &error);
    if (r->logits_n)
        sqzt_assert_ok(sqz_logits(w->session, &batch, NULL, 0,
                                  r->logits +
                                      (r->logits_per_token ? begin_token : from) * r->logits_n,
                                  r->logits_n, &error),
                       &error);
}

static void compare(const char *name, const char *cpu, const char *what, const results *a,
                    const results *b, uint32_t n_tokens)
{
    const size_t logits = (a->logits_per_token ? n_tokens : SEQUENCES) * a->logits_n;
    if (memcmp(a->hidden, b->hidden, n_tokens * a->hidden_n * sizeof(float)) != 0)
        fail_msg("%s, %s: hidden states differ %s", name, cpu, what);
    if (memcmp(a->embedding, b->embedding, SEQUENCES * a->embedding_n * sizeof(float)) != 0)
        fail_msg("%s, %s: embeddings differ %s", name, cpu, what);
    if (memcmp(a->logits, b->logits, logits * sizeof(float)) != 0)
        fail_msg("%s, %s: logits differ %s", name, cpu, what);
}

static void check_form(const sqzt_named_tiny *form, const char *path, const char *cpu)
{
    sqzt_opened one = sqzt_open_file(path, cpu, 1, &room);
    const texts t = random_texts(sqz_model_get_info(one.model), form->tiny.seed);
    results whole = space_for(sqz_model_get_info(one.model)),
            other = space_for(sqz_model_get_info(one.model));
    run(&one, &t, 0, SEQUENCES, &whole);
    /* no NaN: they would compare equal */
    for (uint32_t i = 0; i < t.first[SEQUENCES] * whole.hidden_n; i++)
        assert_true(whole.hidden[i] == whole.hidden[i]);
    run(&one, &t, 0, SEQUENCES, &other);
    compare(form->name, cpu, "from run to run", &whole, &other, t.first[SEQUENCES]);
    for (uint32_t b = 0; b < SEQUENCES; b++) run(&one, &t, b, b + 1, &other);
    compare(form->name, cpu, "alone", &whole, &other, t.first[SEQUENCES]);
    for (uint32_t b = 0; b < SEQUENCES; b += 4)
        run(&one, &t, b, b + 4 < SEQUENCES ? b + 4 : SEQUENCES, &other);
    compare(form->name, cpu, "in other batches", &whole, &other, t.first[SEQUENCES]);
    sqzt_close(&one);
    for (uint32_t n_threads = 2; n_threads <= 4; n_threads++) {
        sqzt_opened many = sqzt_open_file(path, cpu, n_threads, &room);
        memset(other.hidden, 0, MAX_TOKENS * other.hidden_n * sizeof(float));
        run(&many, &t, 0, SEQUENCES, &other);
        compare(form->name, cpu, "with threads", &whole, &other, t.first[SEQUENCES]);
        for (uint32_t b = 0; b < SEQUENCES; b++) run(&many, &t, b, b + 1, &other);
        compare(form->name, cpu, "alone with threads", &whole, &other, t.first[SEQUENCES]);
        sqzt_close(&many);
    }
    discard(&whole);
    discard(&other);
}

/* "" is all that the CPU has. */
static void check_at(const sqzt_named_tiny *form, const char *path, const char *type,
                     const char *const *levels, size_t n)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", form->name, type);
    const sqzt_named_tiny named = {name, form->tiny};
    for (size_t i = 0; i < n; i++) check_form(&named, path, levels[i]);
}

static void quantize(const char *path, const char *out, sqz_quantize_type type)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_quantize(context, path, out, &(sqz_quantize_options){.type = type}, &error),
                   &error);
    sqz_context_close(context);
}

static void test_bits(void **state)
{
    (void)state;
#ifdef __aarch64__
    static const char *const levels[] = {"portable", "neon", "dotprod", "i8mm", ""};
#else
    static const char *const levels[] = {"portable", "avx2", "avx512", "-avxvnni", ""};
#endif
    static const char *const ends[] = {"portable", ""};
    const char *path = sqzt_temporary("model.gguf"), *quantized = sqzt_temporary("quantized.gguf");
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_tiny_write(&form->tiny, path);
        check_at(form, path, "", levels, sizeof levels / sizeof *levels);
        if (form->tiny.type != SQZI_F32 || form->tiny.parts) continue;
        quantize(path, quantized, SQZ_QUANTIZE_S8);
        check_at(form, quantized, ", quantised to s8", ends, 2);
        quantize(path, quantized, SQZ_QUANTIZE_BF16);
        check_at(form, quantized, ", quantised to bf16", ends, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
