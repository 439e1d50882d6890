/* SPDX-License-Identifier: Apache-2.0 */
/* Names of tensors in folders of every age: prefixes that are there or not, gamma and beta, what is
 * left over and what is missing. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/folder_contents.h"
#include "import/importer.h"

enum { NAME = SQZI_PREFIX + 256 };

/* ---- finding one ---- */

/* "X.weight" and "X.bias" of a norm are "X.gamma" and "X.beta" in weights that came from
 * TensorFlow. */
static sqzi_source_tensor *find_old(const sqzi_importer *m, const char *name)
{
    char old[NAME];
    const char *dot = strrchr(name, '.');
    if (!dot) return NULL;
    const char *part = dot;
    while (part > name && part[-1] != '.') part--;
    const size_t n = (size_t)(dot - part);
    if (n < 4 || !(memcmp(dot - 4, "Norm", 4) == 0 || memcmp(dot - 4, "norm", 4) == 0)) return NULL;
    snprintf(old, sizeof old, "%.*s.%s", (int)(dot - name), name,
             strcmp(dot, ".weight") == 0 ? "gamma" : "beta");
    return sqzi_source_find(&m->source, old);
}

static sqzi_source_tensor *find_under(const sqzi_importer *m, const char *prefix, size_t n,
                                      const char *name)
{
    char full[NAME];
    const int length = snprintf(full, sizeof full, "%.*s%s", (int)n, prefix, name);
    if (length < 0 || length >= (int)sizeof full) return NULL;
    sqzi_source_tensor *tensor = sqzi_source_find(&m->source, full);
    return tensor ? tensor : find_old(m, full);
}

sqzi_source_tensor *sqzi_import_find(const sqzi_importer *m, const char *name)
{
    const char *const usual[] = {m->layout->prefix, "module.", "model."};
    size_t n = strlen(m->prefix);
    sqzi_source_tensor *tensor = find_under(m, m->prefix, n, name);
    /* a head stands beside the encoder: under what the encoder's prefix begins with */
    while (!tensor && n > 0) {
        do n--;
        while (n > 0 && m->prefix[n - 1] != '.');
        tensor = find_under(m, m->prefix, n, name);
    }
    for (size_t i = 0; !tensor && i < sizeof usual / sizeof *usual; i++)
        tensor = find_under(m, usual[i], strlen(usual[i]), name);
    return tensor;
}

/* ---- the encoder's prefix ---- */

typedef struct prefixes {
    const char *known; /* the best of those that folders usually have */
    size_t known_n;
    const char *other, *second; /* names with some other prefix */
    size_t other_n;
    uint32_t n_others;
} prefixes;

/* Every prefix with which the name `own` stands in the source. */
static prefixes find_prefixes(const sqzi_importer *m, const char *own)
{
    prefixes p = {0};
    const size_t usual = strlen(m->layout->prefix);
    for (uint32_t i = 0; i < sqzi_source_n(&m->source); i++) {
        const char *name = sqzi_source_at(&m->source, i)->name;
        const size_t n = strlen(name) - strlen(own);
        if (!sqzi_ends_with(name, own) || (n > 0 && name[n - 1] != '.') || n >= SQZI_PREFIX)
            continue;
        if (n == usual && strncmp(name, m->layout->prefix, n) == 0) {
            p.known = name;
            p.known_n = n;
        } else if (n == 0) {
            if (!p.known) p.known = name;
        } else {
            if (p.n_others++ == 0) {
                p.other = name;
                p.other_n = n;
            } else p.second = name;
        }
    }
    return p;
}

sqz_status sqzi_import_find_prefix(sqzi_importer *m)
{
    char query[160];
    sqzi_block_name(m->layout, 0, 0, query, sizeof query - 8);
    snprintf(query + strlen(query), 8, ".weight");
    prefixes p = find_prefixes(m, query);
    if (!p.known && !p.n_others) p = find_prefixes(m, "embeddings.word_embeddings.weight");
    if (!p.known && p.n_others > 1)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the weights hold several encoders, such as '%s' and '%s': save the "
                         "one that is wanted",
                         m->transformer, p.other, p.second);
    if (p.known) snprintf(m->prefix, sizeof m->prefix, "%.*s", (int)p.known_n, p.known);
    else if (p.n_others) snprintf(m->prefix, sizeof m->prefix, "%.*s", (int)p.other_n, p.other);
    return SQZ_OK;
}

/* ---- missing and left over ---- */

/* Bytes that two names have in common at their ends, in whole parts between dots. */
static size_t common_end(const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b), common = 0, whole = 0;
    while (n > 0 && k > 0 && a[n - 1] == b[k - 1]) {
        n--;
        k--;
        common++;
        if (a[n] == '.') whole = common;
    }
    return n == 0 || k == 0 ? common : whole;
}

sqz_status sqzi_import_fail_missing(const sqzi_importer *m, const char *name)
{
    enum { SHOWN = 3 };
    const uint32_t n = sqzi_source_n(&m->source);
    size_t best = 0;
    char there[3 * 100 + 32] = "";
    uint32_t shown = 0;
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_source_tensor *t = sqzi_source_at(&m->source, i);
        const size_t common = t->used ? 0 : common_end(t->name, name);
        if (common > best) best = common;
    }
    for (uint32_t i = 0; i < n && shown < SHOWN; i++) {
        const sqzi_source_tensor *t = sqzi_source_at(&m->source, i);
        if (t->used || common_end(t->name, name) != best) continue;
        snprintf(there + strlen(there), sizeof there - strlen(there), "%s'%.90s'",
                 shown ? ", " : "", t->name);
        shown++;
    }
    return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                     "%s: the tensor '%s%s' is missing; of %u tensors, unused are%s%s",
                     m->transformer, m->prefix, name, n, shown ? " " : " none", there);
}

/* Buffers that modules keep beside their weights; Transformers passes them over as well. */
static bool is_buffer(const char *name)
{
    return sqzi_ends_with(name, "position_ids") || sqzi_ends_with(name, "token_type_ids") ||
           sqzi_ends_with(name, "num_batches_tracked");
}

sqz_status sqzi_import_tell_unused(const sqzi_importer *m)
{
    sqzi_name_list unused = {0};
    for (uint32_t i = 0; i < sqzi_source_n(&m->source); i++) {
        const sqzi_source_tensor *t = sqzi_source_at(&m->source, i);
        if (!t->used && !is_buffer(t->name)) sqzi_list_name(&unused, t->name);
    }
    if (unused.n == 0) return SQZ_OK;
    if (m->options.strict)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: %u tensors belong to no part of %s with the head '%s': %.300s",
                         m->transformer, unused.n, m->class_name, sqz_head_name(m->head),
                         sqzi_listed(&unused));
    sqzi_import_note(m, "not used: %u tensors: %s", unused.n, sqzi_listed(&unused));
    return SQZ_OK;
}
