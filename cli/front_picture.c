/* SPDX-License-Identifier: Apache-2.0 */
/* The front as a picture in SVG: score against megabytes on the left, against milliseconds on the
 * right, a dot a file. */
#include <math.h>
#include <string.h>

#include "front.h"
#include "output.h"

enum { WIDTH = 800, HEIGHT = 376, TOP = 80, BOTTOM = 52, PANEL = 320, MOST_TICKS = 6 };
#define TEXT  "#1f2328"
#define FAINT "#59636e"
#define GRID  "#d1d9e0"
#define POINT "#0969da"

/* A range of numbers, and the place of its ends on the page. */
typedef struct axis {
    double low, high, from, to;
} axis;

static double place(const axis *a, double value)
{
    return a->from + (a->to - a->from) * (value - a->low) / (a->high - a->low);
}

/* Room beside the outermost numbers. */
static void pad(axis *a)
{
    const double room = a->high > a->low ? 0.08 * (a->high - a->low) : 0.05 * fabs(a->high) + 0.01;
    a->low -= room;
    a->high += room;
}

/* 1, 2 or 5 times a power of ten, so that there are at most MOST_TICKS. */
static double step_of(const axis *a)
{
    static const double steps[] = {1, 2, 5};
    for (int power = -9;; power++)
        for (size_t s = 0; s < 3; s++) {
            const double step = steps[s] * pow(10, power);
            if ((a->high - a->low) / step <= MOST_TICKS || power > 15) return step;
        }
}

static void put_text(double x, double y, const char *anchor, int size, const char *colour,
                     const char *text)
{
    fprintf(cli_out(),
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" "
            "fill=\"%s\">",
            x, y, anchor, size, colour);
    for (const char *c = text; *c; c++) {
        if (*c == '&') fputs("&amp;", cli_out());
        else if (*c == '<') fputs("&lt;", cli_out());
        else putc((unsigned char)*c < ' ' ? ' ' : *c, cli_out());
    }
    fputs("</text>\n", cli_out());
}

static void put_line(double x, double y, double to_x, double to_y, const char *colour)
{
    fprintf(cli_out(), "<path d=\"M%.1f,%.1fL%.1f,%.1f\" stroke=\"%s\"/>\n", x, y, to_x, to_y,
            colour);
}

static void put_axes(const axis *across, const axis *up, const char *title)
{
    char text[40];
    double step = step_of(up);
    for (double at = ceil(up->low / step) * step; at <= up->high; at += step) {
        put_line(across->from, place(up, at), across->to, place(up, at), GRID);
        snprintf(text, sizeof text, "%g", fabs(at) < step / 2 ? 0 : at);
        put_text(across->from - 6, place(up, at) + 4, "end", 11, FAINT, text);
    }
    step = step_of(across);
    for (double at = ceil(across->low / step) * step; at <= across->high; at += step) {
        put_line(place(across, at), up->from, place(across, at), up->from + 4, FAINT);
        snprintf(text, sizeof text, "%g", fabs(at) < step / 2 ? 0 : at);
        put_text(place(across, at), up->from + 17, "middle", 11, FAINT, text);
    }
    put_line(across->from, up->from, across->to, up->from, FAINT);
    put_text((across->from + across->to) / 2, HEIGHT - 12, "middle", 12, TEXT, title);
}

static double megabytes(const cli_front_point *p)
{
    return (double)p->bytes / 1e6;
}

static double milliseconds(const cli_front_point *p)
{
    return p->ms;
}

/* From the score before healing, a dash, to that of the file. */
static void put_healing(const cli_front_point *p, double x, const axis *up)
{
    if (isnan(p->before)) return;
    fprintf(cli_out(),
            "<path d=\"M%.1f,%.1fh9m-4.5,0V%.1f\" stroke=\"%s\" stroke-width=\"1.5\">"
            "<title>before healing %.4f, after it %.4f</title></path>\n",
            x - 4.5, place(up, p->before), place(up, p->score), FAINT, p->before, p->score);
}

static void put_dots(const cli_front *front, double (*of)(const cli_front_point *),
                     const axis *across, const axis *up)
{
    for (uint32_t i = 0; i < front->n; i++) {
        const cli_front_point *p = &front->points[i];
        put_healing(p, place(across, of(p)), up);
        fprintf(cli_out(),
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\" stroke=\"%s\" "
                "stroke-width=\"1.5\"><title>%s%.3f MB, %.4f, %.3f ms</title></circle>\n",
                place(across, of(p)), place(up, p->score), p->best ? POINT : "#ffffff", POINT,
                p->budget ? "" : "whole model: ", megabytes(p), p->score, p->ms);
    }
}

static void put_panel(const cli_front *front, double left, double (*of)(const cli_front_point *),
                      const char *title)
{
    axis across = {HUGE_VAL, -HUGE_VAL, left, left + PANEL},
         up = {HUGE_VAL, -HUGE_VAL, HEIGHT - BOTTOM, TOP};
    for (uint32_t i = 0; i < front->n; i++) {
        const cli_front_point *p = &front->points[i];
        across.low = fmin(across.low, of(p));
        across.high = fmax(across.high, of(p));
        up.low = fmin(up.low, fmin(p->score, p->before)); /* NAN is passed over */
        up.high = fmax(up.high, fmax(p->score, p->before));
    }
    pad(&across);
    pad(&up);
    put_axes(&across, &up, title);
    put_dots(front, of, &across, &up);
}

static const char *words_of(const char *score_name)
{
    return strcmp(score_name, "classes") == 0  ? "share of texts that keep their class"
           : strcmp(score_name, "cosine") == 0 ? "cosine to the whole model's vectors"
                                               : score_name;
}

static void put_heading(const cli_front *front)
{
    char text[300], healed[80] = "not healed";
    if (front->minutes > 0)
        snprintf(healed, sizeof healed, "healed for %.3g minutes in all: from the dash to the dot",
                 front->minutes);
    snprintf(text, sizeof text, "%.200s, squeezed to budgets", front->model);
    put_text(16, 24, "start", 14, TEXT, text);
    snprintf(text, sizeof text, "%s, %u %s held out; %s", words_of(front->score_name),
             front->n_held_out, front->held_out, healed);
    put_text(16, 44, "start", 12, FAINT, text);
    put_text(16, 60, "start", 12, FAINT,
             "a ring: another file is as good in score, bytes and time");
}

void cli_front_draw(const cli_front *front)
{
    char text[80];
    fprintf(cli_out(),
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" fill=\"none\" "
            "role=\"img\">\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_heading(front);
    put_panel(front, 56, megabytes, "file, MB");
    snprintf(text, sizeof text, "%u x %u pieces, %u thread%s, ms", front->batch, front->length,
             front->n_threads, front->n_threads == 1 ? "" : "s");
    put_panel(front, 456, milliseconds, text);
    fputs("</svg>\n", cli_out());
}
