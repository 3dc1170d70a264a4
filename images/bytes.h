/*
 * bytes.h - numbers in files: little-endian (le) and big-endian (be), wherever they lie.
 */
#ifndef RF_IMAGE_BYTES_H
#define RF_IMAGE_BYTES_H
#include <string.h>
#include "monitor/lib/types.h"

static inline u16 le16(const void *p) { u16 v; memcpy(&v, p, sizeof(v)); return v; }
static inline u32 le32(const void *p) { u32 v; memcpy(&v, p, sizeof(v)); return v; }
static inline u64 le64(const void *p) { u64 v; memcpy(&v, p, sizeof(v)); return v; }
static inline u16 be16(const void *p) { return __builtin_bswap16(le16(p)); }
static inline u32 be32(const void *p) { return __builtin_bswap32(le32(p)); }
static inline u64 be64(const void *p) { return __builtin_bswap64(le64(p)); }
static inline void put_le16(void *p, u16 v) { memcpy(p, &v, sizeof(v)); }
static inline void put_le32(void *p, u32 v) { memcpy(p, &v, sizeof(v)); }
static inline void put_le64(void *p, u64 v) { memcpy(p, &v, sizeof(v)); }
static inline void put_be16(void *p, u16 v) { put_le16(p, __builtin_bswap16(v)); }
static inline void put_be32(void *p, u32 v) { put_le32(p, __builtin_bswap32(v)); }
static inline void put_be64(void *p, u64 v) { put_le64(p, __builtin_bswap64(v)); }
#endif
