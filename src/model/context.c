/* SPDX-License-Identifier: Apache-2.0 */
/* Making a context: allocator, CPU features and their mask, kernel table, pool, and the facts that
 * `doctor` prints. */
#include "model/context.h"
#include "text/tokenizer_spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/error.h"

enum { MAX_THREADS = 256 };

static SQZI_PRINTF(2, 3) void add_fact(sqz_context *context, const char *format, ...)
{
    if (context->n_facts == SQZI_MAX_FACTS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context->facts[context->n_facts++], SQZI_FACT_BYTES, format, arguments);
    va_end(arguments);
}

static void list_features(uint32_t features, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < SQZI_CPU_COUNT && used < bytes; i++)
        if (features >> i & 1) {
            const int n = snprintf(text + used, bytes - used, "%s%s", used ? " " : "",
                                   sqzi_cpu_feature_name(1u << i));
            if (n > 0) used += (size_t)n;
        }
}

/* Levels of the gemm's type behind it in the list, which would have been better, and what each
 * lacks. */
static void list_better(const sqzk_gemm *chosen, uint32_t found, char *text, size_t bytes)
{
    size_t used = 0;
    bool behind = false;
    const sqzk_gemm *gemm;
    text[0] = '\0';
    for (uint32_t i = 0; (gemm = sqzk_gemm_list(i)) && used < bytes; i++) {
        if (behind && gemm->type == chosen->type) {
            const int n = snprintf(text + used, bytes - used, "%s%s %s", used ? ", " : "; not ",
                                   gemm->level,
                                   gemm->feature & ~found ? "(this CPU lacks it)" : "(masked)");
            if (n > 0) used += (size_t)n;
        }
        behind |= gemm == chosen;
    }
}

static void add_gemm(sqz_context *context, const char *type, const sqzk_gemm *gemm, uint32_t found)
{
    char better[120];
    list_better(gemm, found, better, sizeof better);
    add_fact(context, "kernel %s: %s (tile %ux%u, needs %s%s)", type, gemm->name, gemm->mr,
             gemm->nr, gemm->feature ? sqzi_cpu_feature_name(gemm->feature) : "nothing", better);
}

static void fill_info(sqz_context *context, uint32_t found)
{
    const sqzk_table *kernels = &context->kernels;
    list_features(found, context->features_found, SQZI_FEATURES_BYTES);
    list_features(kernels->features, context->features_used, SQZI_FEATURES_BYTES);
    context->info = (sqz_context_info){.cpu = sqzi_cpu_brand(),
                                       .features_found = context->features_found,
                                       .features_used = context->features_used,
                                       .gemm_f32 = kernels->gemm_f32->name,
                                       .gemm_bf16 = kernels->gemm_bf16->name,
                                       .gemm_s8 = kernels->gemm_s8->name,
                                       .attention_bf16 = kernels->attention_bf16->name,
                                       .attention_s8 = kernels->attention_s8->name,
                                       .rows_level = kernels->rows_level,
                                       .n_threads = sqzi_pool_threads(context->pool),
                                       .n_cpus = sqz_cpu_count()};
}

static void collect_facts(sqz_context *context, uint32_t found, const char *mask)
{
    static const char none[] = "none beyond portable C";
    const sqz_context_info *info = &context->info;
    add_fact(context, "cpu: %s", info->cpu);
    add_fact(context, "features found: %s", found ? info->features_found : none);
    add_fact(context, "features used: %s%s%s", *info->features_used ? info->features_used : none,
             mask && *mask ? "; masked by " : "", mask ? mask : "");
    add_gemm(context, "f32", context->kernels.gemm_f32, found);
    add_gemm(context, "bf16", context->kernels.gemm_bf16, found);
    add_gemm(context, "s8", context->kernels.gemm_s8, found);
    add_fact(context, "kernel attention: %s in bf16 models, %s in s8 models", info->attention_bf16,
             info->attention_s8);
    add_fact(context, "kernel rows: %s (layer norm, softmax, activations, conversion)",
             info->rows_level);
    add_fact(context, "threads: %u of %u that this process may use", info->n_threads, info->n_cpus);
}

sqz_status sqz_context_open(const sqz_context_options *options, sqz_context **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_context_options chosen = options ? *options : (sqz_context_options){0};
    const sqz_allocator allocator = chosen.allocator ? *chosen.allocator : sqzi_default_allocator;
    const char *mask = chosen.cpu ? chosen.cpu : getenv("SQZ_CPU");
    const uint32_t n_threads = chosen.n_threads ? chosen.n_threads : sqz_cpu_count(),
                   found = sqzi_cpu_detect();
    uint32_t features = found;
    sqz_context *context = NULL;
    FAIL_IF(!out, SQZ_EINVAL, 0, "sqz_context_open: context is NULL");
    TRY(SQZI_RESERVED(options, "sqz_context_options", error));
    TRY(SQZI_RESERVED(chosen.allocator, "sqz_allocator", error));
    FAIL_IF(chosen.n_threads > MAX_THREADS, SQZ_EINVAL, 0,
            "%u threads asked for, at most %d are possible", chosen.n_threads, MAX_THREADS);
    TRY(sqzi_cpu_mask(found, mask, &features, error));
    context = sqzi_allocate_zeroed(&allocator, 1, sizeof *context);
    FAIL_IF(!context, SQZ_ENOMEM, 0, "no memory for a context");
    context->allocator = allocator;
    sqzk_table_init(&context->kernels, features);
    TRY(sqzi_pool_open(&context->allocator, n_threads > MAX_THREADS ? MAX_THREADS : n_threads,
                       &context->pool, error));
    fill_info(context, found);
    collect_facts(context, found, mask);
    *out = context;
    return SQZ_OK;
fail:
    sqz_context_close(context);
    return status;
}

void sqz_context_close(sqz_context *context)
{
    if (!context) return;
    const sqz_allocator allocator = context->allocator;
    sqzi_pool_close(context->pool);
    sqzi_release(&allocator, context, sizeof *context);
}

uint32_t sqz_context_threads(const sqz_context *context)
{
    return sqzi_pool_threads(context->pool);
}

const sqz_context_info *sqz_context_get_info(const sqz_context *context)
{
    return &context->info;
}

const char *sqz_context_fact(const sqz_context *context, uint32_t i)
{
    return i < context->n_facts ? context->facts[i] : NULL;
}

sqz_status sqz_encoding_open(const sqz_context *context, sqz_encoding **encoding, sqz_error *error)
{
    if (!context || !encoding)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_encoding_open: an argument is NULL");
    return sqzi_encoding_open(&context->allocator, encoding, error);
}
