/*
 * blocks_check.c - which entries of a table of blocks can be right: inside the file, each on bytes of its own.
 */
#include "images/blocks.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static u64 start_of(const struct block_map *m, u32 entry) { return blocks_place(m, entry) - m->lead; }
static u64 bytes_of(const struct block_map *m) { return (u64)m->lead + m->block_bytes; }

static bool on_reserved(const struct block_map *m, u64 at)
{
	u32 lo = 0, hi = m->reserved_count;
	while (lo < hi) {		/* the first span that ends behind `at` */
		u32 mid = (lo + hi) / 2;
		if (m->reserved[mid].at + m->reserved[mid].len > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < m->reserved_count && m->reserved[lo].at < at + bytes_of(m);
}

/*
 * Entries by where their blocks begin: a hash of the file in slots of a block's length. Two blocks that begin in one slot overlap, so a
 * slot has one at most, and only the neighbours' need a look.
 */
struct slots { u32 *index; u32 mask; };

static u32 *slot_find(const struct block_map *m, const struct slots *s, u64 slot)
{
	u32 h = (u32)((slot * 0x9e3779b97f4a7c15ull) >> 32) & s->mask;
	while (s->index[h] && start_of(m, m->entry[s->index[h] - 1]) / bytes_of(m) != slot)
		h = (h + 1) & s->mask;
	return &s->index[h];
}

static bool slot_taken(const struct block_map *m, const struct slots *s, u64 at)
{
	u64 slot = at / bytes_of(m);
	const u32 *after = slot_find(m, s, slot + 1);
	const u32 *before = slot ? slot_find(m, s, slot - 1) : NULL;
	return *slot_find(m, s, slot) || (*after && start_of(m, m->entry[*after - 1]) < at + bytes_of(m)) ||
		(before && *before && start_of(m, m->entry[*before - 1]) + bytes_of(m) > at);
}

static void bad_entry(struct block_map *m, u32 i)
{
	m->entry[i] = BLOCK_BAD;
	m->bad++;
}

/* What can be said of each entry by itself. True if the blocks lie in the order of the table, so that none are on others. */
static bool scan_alone(struct block_map *m, u64 file_size)
{
	u64 behind = 0;
	bool sorted = true;
	m->allocated = 0;
	for (u32 i = 0; i < m->count; i++) {
		u32 entry = m->entry[i];
		if (entry == BLOCK_HOLE || entry == BLOCK_ZERO)
			continue;
		u64 at = entry == BLOCK_BAD ? 0 : start_of(m, entry);
		if (entry == BLOCK_BAD || at + m->lead >= file_size || at < m->first || on_reserved(m, at)) {
			bad_entry(m, i);
			continue;
		}
		m->allocated++;
		sorted &= at >= behind;
		behind = at + bytes_of(m);
		if (behind > m->end)
			m->end = behind;
	}
	return sorted;
}

int blocks_scan(struct block_map *m, u64 file_size)
{
	m->bad = 0;
	m->end = m->first;
	for (u32 i = 0; i < m->reserved_count; i++)
		if (m->reserved[i].at + m->reserved[i].len > m->end)
			m->end = m->reserved[i].at + m->reserved[i].len;
	m->file_end = file_size;
	if (scan_alone(m, file_size) || !m->allocated)
		return 0;
	struct slots s = { .mask = 1 };
	while (s.mask < m->allocated * 2ull)
		s.mask = s.mask * 2 + 1;
	s.index = host_alloc(m->im->io, (size_t)s.mask + 1, sizeof(*s.index));
	if (!s.index)
		return ENOMEM;
	for (u32 i = 0; i < m->count; i++) {
		if (m->entry[i] > BLOCK_LAST)
			continue;
		u64 at = start_of(m, m->entry[i]);
		if (slot_taken(m, &s, at)) {
			bad_entry(m, i);
			m->allocated--;
		} else {
			*slot_find(m, &s, at / bytes_of(m)) = i + 1;
		}
	}
	free(s.index);
	return 0;
}

bool blocks_acceptable(const struct block_map *m, char *err, size_t errsize)
{
	if (!m->bad || m->im->readonly || m->im->opt->for_repair)
		return true;
	snprintf(err, errsize, "%s: is damaged: %llu of its blocks lie outside the file or on each other; 'ringfence image check' tells more",
		m->path, (unsigned long long)m->bad);
	return false;
}

static void count_blocks(const struct block_map *m, struct image_check *c)
{
	u64 next = ~0ull;
	for (u32 i = 0; i < m->count; i++) {
		if (m->entry[i] > BLOCK_LAST)
			continue;
		u64 at = start_of(m, m->entry[i]);
		c->fragmented_clusters += next != ~0ull && at != next;
		next = at + bytes_of(m);
	}
	c->total_clusters += (m->size + m->block_bytes - 1) / m->block_bytes;
	c->allocated_clusters += m->allocated;
	if (m->end > c->end_offset)
		c->end_offset = m->end;
}

int blocks_check(struct block_map *m, struct image_check *c)
{
	char text[200];
	count_blocks(m, c);
	for (u32 i = 0; i < m->count && m->bad; i++) {
		if (m->entry[i] != BLOCK_BAD)
			continue;
		snprintf(text, sizeof(text), "block %u of %.100s lies outside the file or on something else%s", i, m->path,
			c->repair_all ? ": taken out" : "");
		if (c->say)
			c->say(c->arg, text);
		if (!c->repair_all) {
			c->corruptions++;
			continue;
		}
		m->entry[i] = BLOCK_HOLE;
		blocks_touch(m, i);
		c->corruptions_fixed++;
	}
	if (!c->repair_all || !m->bad)
		return 0;
	m->bad = 0;
	return blocks_flush(m);
}
