/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a model file made of another. */
#include "base/error.h"
#include "io/checksum.h"
#include "rewrite/rewrite.h"

enum { MAX_FEATURES = 32, MAX_HISTORY = 4096 };

static bool ends_with(sqzi_span text, const char *suffix)
{
    const size_t n = strlen(suffix);
    return text.n >= n && memcmp(text.bytes + text.n - n, suffix, n) == 0;
}

static bool is_carried(sqzi_span key)
{
    static const char *const made_anew[] = {"general.alignment",   "general.file_type",
                                            "general.name",        "sqz.requires",
                                            "sqz.history",         SQZI_CHECKSUM_HEADER,
                                            SQZI_CHECKSUM_TENSORS, SQZI_CHECKSUM_THROUGH};
    for (size_t i = 0; i < sizeof made_anew / sizeof *made_anew; i++)
        if (sqzi_span_is(key, made_anew[i])) return false;
    return !sqzi_span_begins(key, "sqz.verify.") && !sqzi_span_begins(key, "sqz.squeeze.");
}

static sqz_status put_name(sqzi_gguf_writer *writer, const sqz_model *from, const char *suffix,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &from->context->allocator;
    sqzi_span name = {"", 0};
    TRY(sqzi_gguf_get_string(from->gguf, "general.name", false, &name, error));
    if (name.n == 0) return SQZ_OK;
    const size_t more = ends_with(name, suffix) ? 0 : strlen(suffix), n = name.n + more;
    char *longer = sqzi_allocate(allocator, n);
    FAIL_IF(!longer, SQZ_ENOMEM, 0, "no memory for the model's name");
    memcpy(longer, name.bytes, name.n);
    memcpy(longer + name.n, suffix, more);
    sqzi_gguf_put_span(writer, "general.name", (sqzi_span){longer, n});
    sqzi_release(allocator, longer, n);
fail:
    return status;
}

typedef struct list {
    const char *key;
    uint64_t most;
    bool once; /* what is there already is not added */
} list;

/* The strings of an array (none where the key is absent) and one more. */
static sqz_status put_and(sqzi_gguf_writer *writer, const sqz_model *from, list l, const char *more,
                          sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &from->context->allocator;
    const sqzi_gguf_value *value;
    TRY(sqzi_gguf_get_array(from->gguf, l.key, SQZI_GGUF_STRING, UINT64_MAX, false, &value, error));
    const size_t n = value ? (size_t)value->n : 0;
    FAIL_IF(n > l.most, SQZ_ELIMIT, 0, "metadata '%s' has %zu strings, at most %llu are allowed",
            l.key, n, (unsigned long long)l.most);
    const unsigned char *at = value ? value->data : NULL;
    bool add = more != NULL;
    sqzi_span *strings = sqzi_allocate(allocator, (n + 1) * sizeof *strings);
    FAIL_IF(!strings, SQZ_ENOMEM, 0, "no memory for metadata");
    for (size_t i = 0; i < n; i++) {
        strings[i] = sqzi_gguf_next_string(&at);
        if (l.once && more && sqzi_span_is(strings[i], more)) add = false;
    }
    if (add) strings[n] = sqzi_span_of(more);
    if (n + add) sqzi_gguf_put_strings(writer, l.key, strings, n + add);
    sqzi_release(allocator, strings, (n + 1) * sizeof *strings);
fail:
    return status;
}

sqz_status sqzi_rewrite_metadata_but(sqzi_gguf_writer *writer, const sqz_model *from,
                                     const sqzi_step *step, sqzi_rewrite_leaves_out *leaves_out,
                                     const void *user, sqz_error *error)
{
    const bool requires_stays = !leaves_out || !leaves_out(user, sqzi_span_of("sqz.requires"));
    for (uint32_t i = 0; i < sqzi_gguf_n_values(from->gguf); i++) {
        const sqzi_gguf_value *value = sqzi_gguf_value_at(from->gguf, i);
        if (is_carried(value->key) && !(leaves_out && leaves_out(user, value->key)))
            sqzi_gguf_put_value(writer, value);
    }
    const sqzi_measured *measured = step->measured;
    if (measured && measured->count_key)
        sqzi_gguf_put_u32(writer, measured->count_key, measured->count);
    for (uint32_t i = 0; measured && i < measured->n; i++)
        sqzi_gguf_put_f64(writer, measured->keys[i], 0);
    sqz_status status = put_name(writer, from, step->suffix, error);
    if (status == SQZ_OK && requires_stays)
        status = put_and(writer, from, (list){"sqz.requires", MAX_FEATURES, true}, step->feature,
                         error);
    if (status == SQZ_OK)
        status = put_and(writer, from, (list){"sqz.history", MAX_HISTORY, false}, step->history,
                         error);
    return status;
}

sqz_status sqzi_rewrite_metadata(sqzi_gguf_writer *writer, const sqz_model *from,
                                 const sqzi_step *step, sqz_error *error)
{
    return sqzi_rewrite_metadata_but(writer, from, step, NULL, NULL, error);
}

bool sqzi_is_of_scores(sqzi_span key)
{
    return sqzi_span_is(key, "sqz.head.temperature") || sqzi_span_is(key, "sqz.head.threshold");
}

void sqzi_put_tensors_of(const sqz_model *from, bool with_head, sqzi_gguf_writer *writer)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(from->gguf); i++) {
        const sqzi_gguf_tensor *x = sqzi_gguf_tensor_at(from->gguf, i);
        char name[64]; /* no file has a longer one */
        if (sqzi_span_begins(x->name, "verify.") ||
            (!with_head && sqzi_span_begins(x->name, "head.")))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)x->name.n, x->name.bytes);
        sqzi_gguf_put_tensor(writer, name, x->type, x->n_dims, x->shape, x->data);
    }
}
