/* SPDX-License-Identifier: Apache-2.0 */
/* The three products of a linear that is trained, y = x W', dx = dy W and dW = dy' x, on the gemms
 * of this machine, at the shapes of the models this library runs.
 *
 *   bench_products [--type f32|bf16] [--tokens N] [--samples S]
 *
 * Each product beside the loop over registers of its instruction (src/kernel/peak), sampled in
 * turn: the share is the median of the samples' ratios. Rows of y and dx are prepared and panels
 * packed beforehand; what packing W for dx costs stands beside them, in parts of dx's time.
 *
 * dW is made as a trainer makes it, group by group: the larger of dy and x passes through the cache
 * in strips, a strip turned or packed right before it is multiplied, and the smaller is turned or
 * packed before, once a group. What turning dy and packing x take stands beside it, in parts of the
 * product's time, and then what copying the same strips in turning's place takes, rows as they are:
 * what memory and caches alone cost. Of bf16, dy has been rounded to rows already, as dx
 * needs them. Time is the thread's CPU time.
 */
#define _GNU_SOURCE
#include <math.h>

#include "micro/against_peak.h"

#include "base/cpu.h"
#include "kernel/grad/grad_table.h"
#include "nn/pack.h"

enum { MOST_SAMPLES = 1001, MOST_TOKENS = 1024, UNIT_ROWS = 96, UNIT_COLUMNS = 192 };

typedef struct layer {
    const char *model, *name;
    uint32_t n_in, n_out, groups;
} layer;

static const layer layers[] = {
    {"MiniLM", "attention", 384, 384, 1},    {"MiniLM", "up", 384, 1536, 1},
    {"MiniLM", "down", 1536, 384, 1},        {"SqueezeBERT", "attention", 768, 768, 4},
    {"SqueezeBERT", "up", 768, 3072, 4},     {"SqueezeBERT", "down", 3072, 768, 4},
    {"BERT-base", "attention", 768, 768, 1}, {"BERT-base", "up", 768, 3072, 1},
    {"BERT-base", "down", 3072, 768, 1},
};

/* Rows as a gemm takes them, group after group in each row. */
typedef struct rows {
    unsigned char *p;
    size_t ld, group_bytes;
} rows;

typedef struct test {
    layer l;
    size_t tokens;
    const sqzk_gemm *gemm;
    sqzk_grad_table grad;
    sqzi_matrix forward, turned; /* W, and W' for dx */
    unsigned char *w_panels, *turned_panels, *x_panels;
    float *weights, *x, *dy, *out;
    rows x_rows, dy_rows;
    rows dy_turned;          /* a unit, or a group where x is the larger */
    double turning, packing; /* seconds of them in the last dW */
    bool copies;             /* dy is copied, not turned, and dW is not right */
} test;

static size_t groups_of(const test *t)
{
    return t->l.groups;
}

static rows new_rows(const sqzk_gemm *gemm, size_t m, size_t groups, size_t k)
{
    rows r = {.group_bytes = gemm->prepare ? sqzk_gemm_prepared_bytes(gemm, k) : k * sizeof(float)};
    r.ld = groups * r.group_bytes;
    r.p = take(m, r.ld);
    return r;
}

static void fill_rows(const sqzk_gemm *gemm, const float *from, size_t m, size_t groups, size_t k,
                      rows *to)
{
    for (size_t g = 0; g < groups; g++)
        if (gemm->prepare)
            gemm->prepare(&(sqzk_prepare_args){.m = m,
                                               .k = k,
                                               .x = from + g * k,
                                               .ldx = groups * k,
                                               .out = to->p + g * to->group_bytes,
                                               .ldo = to->ld});
        else
            for (size_t i = 0; i < m; i++)
                memcpy(to->p + i * to->ld + g * to->group_bytes, from + (i * groups + g) * k,
                       k * sizeof *from);
}

/* What is timed. */
typedef void work(test *t);

static void multiply(const test *t, const rows *a, size_t m, size_t n, size_t k,
                     const unsigned char *panels, size_t group_bytes, float *c, size_t ldc,
                     size_t c_group)
{
    for (size_t g = 0; g < groups_of(t); g++)
        t->gemm->run(&(sqzk_gemm_args){.m = m,
                                       .n = n,
                                       .k = k,
                                       .a = a->p + g * a->group_bytes,
                                       .lda = a->ld,
                                       .b = panels + g * group_bytes,
                                       .c = c + g * c_group,
                                       .ldc = ldc});
}

static void make_y(test *t)
{
    const size_t k = t->l.n_in / groups_of(t), n = t->l.n_out / groups_of(t);
    multiply(t, &t->x_rows, t->tokens, n, k, t->w_panels, t->forward.group_bytes, t->out,
             t->l.n_out, n);
}

static void make_dx(test *t)
{
    const size_t k = t->l.n_out / groups_of(t), n = t->l.n_in / groups_of(t);
    multiply(t, &t->dy_rows, t->tokens, n, k, t->turned_panels, t->turned.group_bytes, t->out,
             t->l.n_in, n);
}

static void copy_rows(const sqzk_transpose_args *args)
{
    const size_t item = sqzi_type_bytes(args->type), bytes = args->n * item;
    for (size_t i = 0; i < args->m; i++)
        memcpy((unsigned char *)args->out + i * bytes,
               (const unsigned char *)args->x + i * args->ldx * item, bytes);
}

/* Columns [o, o + m) of a group of dy to rows, or copied as they are. */
static void turn(test *t, size_t g, size_t o, size_t m)
{
    const double begin = now();
    const size_t item = sqzi_type_bytes(t->gemm->type), ld = t->dy_turned.ld / item;
    const sqzk_transpose_args args = {.m = t->tokens,
                                      .n = m,
                                      .type = t->gemm->type,
                                      .x = t->dy_rows.p + g * t->dy_rows.group_bytes + o * item,
                                      .ldx = t->dy_rows.ld / item,
                                      .out = t->dy_turned.p,
                                      .ldo = ld,
                                      .filled = t->gemm->prepare ? ld : t->tokens};
    if (t->copies) copy_rows(&args);
    else t->grad.transpose(&args);
    t->turning += now() - begin;
}

/* Columns [i, i + n) of a group of x to panels that are tokens deep. */
static void pack_x(test *t, size_t g, size_t i, size_t n)
{
    const double begin = now();
    t->gemm->pack(&(sqzk_pack_args){.n = n,
                                    .k = t->tokens,
                                    .source = t->x + g * t->l.n_in / groups_of(t) + i,
                                    .n_stride = 1,
                                    .k_stride = t->l.n_in,
                                    .type = SQZI_F32},
                  t->x_panels);
    t->packing += now() - begin;
}

/* Rows [o, o + m) and columns [i, i + n) of a group of dW, of what was turned and packed last. */
static void multiply_unit(test *t, size_t g, size_t o, size_t m, size_t i, size_t n)
{
    const size_t in = t->l.n_in / groups_of(t), out = t->l.n_out / groups_of(t);
    t->gemm->run(&(sqzk_gemm_args){.m = m,
                                   .n = n,
                                   .k = t->tokens,
                                   .a = t->dy_turned.p,
                                   .lda = t->dy_turned.ld,
                                   .b = t->x_panels,
                                   .c = t->out + (g * out + o) * in + i,
                                   .ldc = in});
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void make_dw(test *t)
{
    const size_t in = t->l.n_in / groups_of(t), out = t->l.n_out / groups_of(t);
    t->turning = t->packing = 0;
    for (size_t g = 0; g < groups_of(t); g++) {
        const bool x_is_larger = in > out;
        if (x_is_larger) turn(t, g, 0, out);
        else pack_x(t, g, 0, in);
        for (size_t o = 0, m; !x_is_larger && o < out; o += m) {
            turn(t, g, o, m = least(out - o, UNIT_ROWS));
            multiply_unit(t, g, o, m, 0, in);
        }
        for (size_t i = 0, n; x_is_larger && i < in; i += n) {
            pack_x(t, g, i, n = least(in - i, UNIT_COLUMNS));
            multiply_unit(t, g, 0, out, i, n);
        }
    }
}

static void pack_turned(test *t)
{
    sqzi_pack(&t->turned, (sqzi_numbers){t->weights, SQZI_F32, NULL}, NULL, t->turned_panels);
}

static float *numbers(size_t n, uint64_t *random)
{
    float *x = take(n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = uniform(random);
    return x;
}

static void open_test(test *t, const layer *l, size_t tokens, const sqzk_gemm *gemm)
{
    uint64_t random = 1;
    *t = (test){.l = *l, .tokens = tokens, .gemm = gemm};
    const size_t in = l->n_in / l->groups, out = l->n_out / l->groups,
                 most = l->n_in > l->n_out ? l->n_in : l->n_out, of_w = (size_t)l->n_in * out;
    sqzk_grad_table_init(&t->grad, sqzi_cpu_detect());
    t->forward = sqzi_matrix_of(gemm, l->n_in, l->n_out, l->groups);
    t->turned = sqzi_matrix_turned(&t->forward);
    t->weights = numbers(of_w, &random);
    t->x = numbers(tokens * l->n_in, &random);
    t->dy = numbers(tokens * l->n_out, &random);
    t->out = take(tokens * most > of_w ? tokens * most : of_w, sizeof *t->out);
    t->w_panels = take(1, sqzi_matrix_bytes(&t->forward));
    t->turned_panels = take(1, sqzi_matrix_bytes(&t->turned));
    t->x_panels = take(1, sqzk_gemm_packed_bytes(gemm, tokens, in > out ? UNIT_COLUMNS : in));
    t->x_rows = new_rows(gemm, tokens, l->groups, in);
    t->dy_rows = new_rows(gemm, tokens, l->groups, out);
    t->dy_turned = new_rows(gemm, in > out ? out : UNIT_ROWS, 1, tokens);
    fill_rows(gemm, t->x, tokens, l->groups, in, &t->x_rows);
    fill_rows(gemm, t->dy, tokens, l->groups, out, &t->dy_rows);
    sqzi_pack(&t->forward, (sqzi_numbers){t->weights, SQZI_F32, NULL}, NULL, t->w_panels);
    pack_turned(t);
}

static void close_test(test *t)
{
    void *const all[] = {t->weights,       t->x,        t->dy,       t->out,       t->w_panels,
                         t->turned_panels, t->x_panels, t->x_rows.p, t->dy_rows.p, t->dy_turned.p};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The last number of each product by a plain loop: what is timed is what was meant. */
static bool is_right(test *t)
{
    const size_t in = t->l.n_in / groups_of(t), out = t->l.n_out / groups_of(t), o = t->l.n_out - 1,
                 g = groups_of(t) - 1, i = t->l.n_in - 1, row = t->tokens - 1;
    double y = 0, dx = 0, dw = 0;
    for (size_t j = 0; j < in; j++)
        y += (double)t->x[row * t->l.n_in + g * in + j] * (double)t->weights[o * in + j];
    for (size_t j = 0; j < out; j++)
        dx += (double)t->dy[row * t->l.n_out + g * out + j] *
              (double)t->weights[(g * out + j) * in + in - 1];
    for (size_t r = 0; r < t->tokens; r++)
        dw += (double)t->dy[r * t->l.n_out + o] * (double)t->x[r * t->l.n_in + i];
    const double off = t->gemm->type == SQZI_F32 ? 1e-3 : 0.6;
    make_y(t);
    bool right = fabs((double)t->out[row * t->l.n_out + o] - y) < off;
    make_dx(t);
    right &= fabs((double)t->out[row * t->l.n_in + i] - dx) < off;
    make_dw(t);
    return right && fabs((double)t->out[o * in + in - 1] - dw) < off;
}

enum { Y, DX, DW, PACK_W, WORKS };
static work *const works[WORKS] = {make_y, make_dx, make_dw, pack_turned};

static double seconds(work *what, test *t, size_t calls)
{
    const double begin = now();
    for (size_t i = 0; i < calls; i++) what(t);
    return (now() - begin) / (double)calls;
}

/* What else dW takes, in parts of its product. */
enum { TURN, COPY, PACK_X, PARTS };

/* Time of the product alone. */
static double sample_dw(test *t, double part[PARTS])
{
    t->copies = true;
    part[COPY] = seconds(make_dw, t, 1);
    part[COPY] = t->turning / (part[COPY] - t->turning - t->packing);
    t->copies = false;
    const double all = seconds(make_dw, t, 1), dw = all - t->turning - t->packing;
    part[TURN] = t->turning / dw;
    part[PACK_X] = t->packing / dw;
    return dw;
}

static double part_of(double (*parts)[PARTS], size_t which, size_t samples)
{
    static double part[MOST_SAMPLES];
    for (size_t s = 0; s < samples; s++) part[s] = parts[s][which];
    return 100 * median(part, samples);
}

static bool run_layer(const layer *l, size_t tokens, const sqzk_gemm *gemm, size_t samples)
{
    static double time[WORKS][MOST_SAMPLES], share[3][MOST_SAMPLES], parts[MOST_SAMPLES][PARTS];
    const sqzk_peak *peak = peak_of(gemm);
    const uint64_t rounds = peak_rounds(peak);
    const double operations = 2.0 * (double)tokens * l->n_in * (l->n_out / l->groups);
    test t;
    size_t calls[WORKS];
    open_test(&t, l, tokens, gemm);
    const bool right = is_right(&t);
    for (int w = 0; w < WORKS; w++)
        calls[w] = 1 + (size_t)(sample_seconds / (seconds(works[w], &t, 1) + 1e-9));
    for (size_t s = 0; s < samples; s++)
        for (int w = 0; w < WORKS; w++) {
            time[w][s] = w == DW ? sample_dw(&t, parts[s]) : seconds(works[w], &t, calls[w]);
            if (w <= DW) share[w][s] = operations / time[w][s] / peak_rate(peak, rounds);
        }
    printf("%-26s %-12s %-10s", gemm->name, l->model, l->name);
    for (int w = Y; w <= DW; w++)
        printf(" %7.1f %5.1f%%", operations * 1e-9 / median(time[w], samples),
               100 * median(share[w], samples));
    for (size_t i = 0; i < PARTS; i++) printf(" %6.1f%%", part_of(parts, i, samples));
    printf(" %6.1f%%%s\n", 100 * median(time[PACK_W], samples) / median(time[DX], samples),
           right ? "" : "   WRONG");
    close_test(&t);
    return right;
}

static bool read_size(const char *text, size_t most, size_t *out)
{
    char *end;
    *out = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    return *out >= 1 && *out <= most && !*end;
}

int main(int n, char **arguments)
{
    size_t tokens = 800, samples = 31;
    const char *type = NULL;
    for (int i = 1; i < n; i += 2) {
        const char *value = i + 1 < n ? arguments[i + 1] : "";
        if (!(strcmp(arguments[i], "--tokens") == 0 && read_size(value, MOST_TOKENS, &tokens)) &&
            !(strcmp(arguments[i], "--samples") == 0 && read_size(value, MOST_SAMPLES, &samples)) &&
            !(strcmp(arguments[i], "--type") == 0 &&
              (strcmp(type = value, "f32") == 0 || strcmp(value, "bf16") == 0))) {
            fprintf(stderr,
                    "bench_products: cannot use '%s %s'\nbench_products [--type f32|bf16] "
                    "[--tokens N] [--samples S]\nN is 1 to %d, S 1 to %d\n",
                    arguments[i], value, MOST_TOKENS, MOST_SAMPLES);
            return 2;
        }
    }
    sqzk_table kernels;
    sqzk_table_init(&kernels, sqzi_cpu_detect());
    printf("%s, %zu tokens; Gop/s and share of the peak; what turning dy, copying dy and"
           " packing x take of dW, packing W of dx\n"
           "%-26s %-12s %-10s %14s %14s %14s %7s %7s %7s %7s\n",
           sqzi_cpu_brand(), tokens, "kernel", "model", "layer", "y", "dx", "dW", "turn", "copy",
           "pack x", "pack W");
    const sqzk_gemm *const gemms[] = {kernels.gemm_f32, kernels.gemm_bf16};
    bool right = true;
    for (size_t g = 0; g < 2; g++)
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
            if (!type || (strcmp(type, "f32") == 0) == (g == 0))
                right &= run_layer(&layers[i], tokens, gemms[g], samples);
    return right ? 0 : 1;
}
