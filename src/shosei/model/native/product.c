// A matrix times some rows. Threads take chunks of outputs as they come free: one that the system holds up does not
// hold up the others.
#include "product.h"
#include "tile.h"

// AHEAD: bytes of a matrix that are fetched before they are read. At 2048 memory and products took turns.
enum { MOST_UNITS = 8, AHEAD = 8192 };
// Of a matrix: each tile of rows reads a chunk again, from a core's own cache.
static const int64_t CHUNK_BYTES = 256 << 10;

static int64_t units_of_a_chunk(const Product *p, int64_t units) {
    int64_t most = CHUNK_BYTES / unit_bytes(p->matrix), fair = units / (p->threads * 6) + 1;
    most = most > MOST_UNITS ? MOST_UNITS : most < 1 ? 1 : most;
    int64_t chunk = fair < most ? fair : most;
    return p->use == SWIGLU ? chunk + chunk % 2 : chunk;
}

static void swiglu(const float *gates, const float *ups, float *to) {
    for (int i = 0; i < UNIT; i += LANES) {
        floats gate = load(gates + i);
        store(to + i, gate / (1 + exponential(-gate)) * load(ups + i));
    }
}

// Where the outputs `first` and on of one row go; `sums` has UNIT of them for each unit, a tile apart.
static void use(const Product *p, int64_t row, int64_t first, int64_t units, float *sums) {
    const Matrix *m = p->matrix;
    for (int64_t u = 0; u < units; u++) {
        float *values = sums + u * TILE * UNIT, activated[UNIT];
        int64_t output = first + u * UNIT, count = m->outputs - output < UNIT ? m->outputs - output : UNIT;
        if (m->bias)
            for (int i = 0; i < count; i++) values[i] += m->bias[output + i];
        float *out = p->out + row * m->outputs + output;
        if (p->use == STORE) memcpy(out, values, count * sizeof *out);
        if (p->use == ADD)
            for (int i = 0; i < count; i++) out[i] += values[i];
        if (p->use == SWIGLU && u % 2) {
            swiglu(values - TILE * UNIT, values, activated);
            put(p->next, row, output / 2 - UNIT / 2, activated);
        }
    }
}

void multiply(const Product *p) {
    float sums[MOST_UNITS + 1][TILE][UNIT] __attribute__((aligned(64)));
    int64_t units = (p->matrix->outputs + UNIT - 1) / UNIT, size = units_of_a_chunk(p, units);
    const char *ahead = p->matrix->units + AHEAD;
    for (int64_t first; (first = size * atomic_fetch_add(p->taken, 1)) < units;) {
        int64_t count = units - first < size ? units - first : size;
        for (int64_t row = 0; row < p->rows; row += TILE) {
            int rows = p->rows - row < TILE ? p->rows - row : TILE;
            memset(sums, 0, count * sizeof *sums);
            for (int64_t u = 0; u < count; u++)
                tile(p->matrix, first + u, p->x, row, rows, ahead + (first + u) * unit_bytes(p->matrix), sums[u][0]);
            for (int r = 0; r < rows; r++) use(p, row + r, first * UNIT, count, sums[0][r]);
        }
    }
}
