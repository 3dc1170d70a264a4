/*
 * types.h - the integer types and small helpers that every layer uses.
 */
#ifndef RF_TYPES_H
#define RF_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t  u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t   s8;
typedef int16_t  s16;
typedef int32_t  s32;
typedef int64_t  s64;

typedef u64 gpa_t;	/* guest physical address */
typedef u64 gla_t;	/* guest linear address */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  4095u

/* Ours to fix, never a guest's doing: prints the sentence, file and line, and aborts. */
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define bug(...)          bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define bug_on(cond, ...) do { if (unlikely(cond)) bug(__VA_ARGS__); } while (0)
#endif
