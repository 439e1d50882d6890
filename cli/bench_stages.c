/* SPDX-License-Identifier: Apache-2.0 */
/* Where a row's time goes, stage by stage, and how near each comes to the peak. A stage's rate is
 * its products over the time its threads spent in it, so the peak beside it is that of one thread;
 * its weights are read once a run at least, which is what its GB/s count. */
#include "bench.h"
#include "output.h"

/* One stage, of one run on average. */
typedef struct stage_figures {
    double ms;       /* summed over threads */
    double share;    /* of the time of all threads */
    double giga;     /* GOP/s of one thread; 0 where there are no products */
    double of_peak;  /* of one thread's peak */
    double reading;  /* GB/s of the stage's weights */
} stage_figures;

static stage_figures figures_of(const bench_row *row, sqz_stage stage)
{
    const sqz_stage_profile *s = &row->profile.stages[stage];
    const double runs = (double)row->profile.runs, ns = (double)s->ns;
    stage_figures f = {.ms = ns / runs / 1e6,
                       .share = ns / ((double)row->profile.wall_ns * row->n_threads)};
    if (s->ns == 0) return f;
    f.giga = 2 * (double)s->multiply_adds / ns;
    f.reading = (double)s->weight_bytes / ns;
    if (row->plan->roofline)
        f.of_peak = f.giga / (row->peak.arithmetic[bench_peak_type(row->type)] / row->n_threads);
    return f;
}

static double weight_bytes(const bench_row *row)
{
    double bytes = 0;
    for (uint32_t s = 0; s < SQZ_STAGES; s++) bytes += (double)row->profile.stages[s].weight_bytes;
    return bytes / (double)row->profile.runs;
}

/* The least time the machine could take: all products at the peak, or all weights read once,
 * whichever is longer. */
static double bound_ms(const bench_row *row)
{
    const double computing = bench_giga_operations(row) /
                             row->peak.arithmetic[bench_peak_type(row->type)] * 1e3;
    const double reading = weight_bytes(row) / row->peak.weights / 1e6;
    return computing > reading ? computing : reading;
}

static void write_peak(const bench_row *row, const char *line)
{
    const bench_peak *p = &row->peak;
    printf("%speak with %u thread%s: f32 %.0f GOP/s (%s), bf16 %.0f (%s), s8 %.0f (%s); reading "
           "%.1f GB/s from %.0f MB, %.1f from the %.1f MB of the weights\n",
           line, row->n_threads, row->n_threads > 1 ? "s" : "", p->arithmetic[SQZ_PEAK_F32],
           p->instruction[SQZ_PEAK_F32], p->arithmetic[SQZ_PEAK_BF16],
           p->instruction[SQZ_PEAK_BF16], p->arithmetic[SQZ_PEAK_S8], p->instruction[SQZ_PEAK_S8],
           p->memory, (double)p->memory_bytes / 1e6, p->weights, weight_bytes(row) / 1e6);
    printf("%s%.3f G operations, at least %.3f ms here: %.1f %% of that bound, %.1f %% of the %s "
           "peak\n",
           line, bench_giga_operations(row), bound_ms(row), 100 * bound_ms(row) / row->run.median,
           100 * bench_share_of_peak(row), row->type);
}

void bench_report_stages(const bench_row *row, bench_format format)
{
    const bool markdown = format == BENCH_MARKDOWN;
    const char *line = markdown ? "\n" : "  ", *wide = markdown
                                                           ? "| %s | %s | %s | %s | %s | %s |\n"
                                                           : "  %-18s %10s %8s %9s %8s %8s\n";
    if (row->plan->roofline) write_peak(row, line);
    if (markdown) putchar('\n');
    printf(wide, "stage", "ms a run", "of time", "GOP/s", "of peak", "GB/s");
    if (markdown) printf("|---|---|---|---|---|---|\n");
    for (sqz_stage s = 0; s < SQZ_STAGES; s++) {
        const stage_figures f = figures_of(row, s);
        char ms[24], share[24], giga[24] = "", peak[24] = "", reading[24] = "";
        if (row->profile.stages[s].calls == 0) continue;
        snprintf(ms, sizeof ms, "%.4f", f.ms);
        snprintf(share, sizeof share, "%.1f %%", 100 * f.share);
        if (f.giga > 0) snprintf(giga, sizeof giga, "%.1f", f.giga);
        if (f.of_peak > 0) snprintf(peak, sizeof peak, "%.1f %%", 100 * f.of_peak);
        if (f.reading > 0) snprintf(reading, sizeof reading, "%.1f", f.reading);
        printf(wide, sqz_stage_name(s), ms, share, giga, peak, reading);
    }
    putchar('\n');
}

static void json_stage(const bench_row *row, sqz_stage stage)
{
    const stage_figures f = figures_of(row, stage);
    const double runs = (double)row->profile.runs;
    cli_json_open('{');
    cli_json_key_string("name", sqz_stage_name(stage));
    cli_json_key_double("calls", (double)row->profile.stages[stage].calls / runs);
    cli_json_key_double("ms", f.ms);
    cli_json_key_double("share_of_time", f.share);
    cli_json_key_double("multiply_adds", (double)row->profile.stages[stage].multiply_adds / runs);
    cli_json_key_double("weight_bytes", (double)row->profile.stages[stage].weight_bytes / runs);
    cli_json_key_double("gops", f.giga);
    if (row->plan->roofline) cli_json_key_double("share_of_peak", f.of_peak);
    cli_json_close('}');
}

static void json_roofline(const bench_row *row)
{
    static const char *const names[] = {"f32", "bf16", "s8"};
    const bench_peak *p = &row->peak;
    cli_json_key("roofline");
    cli_json_open('{');
    for (sqz_peak_type type = SQZ_PEAK_F32; type <= SQZ_PEAK_S8; type++) {
        cli_json_key(names[type]);
        cli_json_open('{');
        cli_json_key_double("peak_gops", p->arithmetic[type]);
        cli_json_key_string("instruction", p->instruction[type]);
        cli_json_close('}');
    }
    cli_json_key_double("memory_gb_s", p->memory);
    cli_json_key_double("memory_bytes", (double)p->memory_bytes);
    cli_json_key_double("weights_gb_s", p->weights);
    cli_json_key_double("weights_bytes", weight_bytes(row));
    cli_json_key_double("giga_operations", bench_giga_operations(row));
    cli_json_key_double("gops", bench_giga_operations(row) / row->run.median * 1e3);
    cli_json_key_double("share_of_peak", bench_share_of_peak(row));
    cli_json_key_double("bound_ms", bound_ms(row));
    cli_json_close('}');
}

void bench_json_stages(const bench_row *row)
{
    if (row->plan->roofline) json_roofline(row);
    cli_json_key("profile");
    cli_json_open('{');
    cli_json_key_double("runs", (double)row->profile.runs);
    cli_json_key_double("wall_ms", (double)row->profile.wall_ns / 1e6 / (double)row->profile.runs);
    cli_json_key("stages");
    cli_json_open('[');
    for (sqz_stage s = 0; s < SQZ_STAGES; s++) json_stage(row, s);
    cli_json_close(']');
    cli_json_close('}');
}
