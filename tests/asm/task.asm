; task.asm - hardware task switches: JMP, CALL, IRET, task gates, interrupts through task gates, 32- and 16-bit TSSs, busy bits, links,
; NT, CR0.TS, LDTs, and what is refused.
%include "lib.inc"

SEL_TSS2   equ SEL_FREE
SEL_TSS16  equ SEL_FREE + 8
SEL_GATE   equ SEL_FREE + 16
SEL_SHORT  equ SEL_FREE + 24
SEL_LDT    equ SEL_FREE + 32
SEL_TSS3   equ SEL_FREE + 40

TSS2  equ PAGES
TSS16 equ PAGES + 0x100
TSS3  equ PAGES + 0x200
STACK2 equ PAGES + 0x2000
STACK3 equ PAGES + 0x3000

%define ACCESS(sel) byte [gdt + (sel) + 5]

; eax = entry, edi = tss, ebx = stack
make_tss:
	push eax
	push edi
	xor eax, eax
	mov ecx, 26
	rep stosd
	pop edi
	pop eax
	mov [edi + 0x20], eax
	mov dword [edi + 0x24], 2
	mov dword [edi + 0x28], 0x11111111	; eax
	mov dword [edi + 0x2c], 0x22222222	; ecx
	mov [edi + 0x38], ebx			; esp
	mov dword [edi + 0x3c], 0x55555555	; ebp
	mov dword [edi + 0x48], SEL_DATA	; es
	mov dword [edi + 0x4c], SEL_CODE
	mov dword [edi + 0x50], SEL_DATA
	mov dword [edi + 0x54], SEL_DATA
	mov dword [edi + 0x58], SEL_DATA
	mov dword [edi + 0x5c], 0
	mov word [edi + 0x66], 104
	ret

main:
	SETDESC SEL_TSS2, TSS2, 103, 0x89, 0
	SETDESC SEL_TSS16, TSS16, 43, 0x81, 0
	SETDESC SEL_SHORT, TSS2, 102, 0x89, 0
	SETDESC SEL_TSS3, TSS3, 103, 0x89, 0
	mov dword [gdt + SEL_GATE], SEL_TSS2 << 16
	mov dword [gdt + SEL_GATE + 4], 0x8500

	; JMP to a task and back
	mov eax, task_jmp
	mov edi, TSS2
	mov ebx, STACK2
	call make_tss
	mov esi, 0x600d600d
	jmp SEL_TSS2:0
	SAME "registers of the first task come back", esi, 0x600d600d
	SAME "eax in the task", [t_eax], 0x11111111
	SAME "ebp in the task", [t_ebp], 0x55555555
	SAME "esp in the task", [t_esp], STACK2
	SAME "ts is set", [t_ts], 8
	SAME "nt is clear", [t_eflags], 2
	movzx eax, ACCESS(SEL_TSS2)
	SAME "jmp clears the old busy bit", eax, 0x89
	movzx eax, ACCESS(SEL_TSS)
	EQUAL "jmp to a task and back", eax, 0x8b

	; CALL: link, NT, IRET
	mov eax, task_call
	mov edi, TSS2
	mov ebx, STACK2
	call make_tss
	call SEL_TSS2:0
	movzx eax, word [TSS2]
	SAME "link", eax, SEL_TSS
	SAME "nt in the task", [t_eflags], 0x4002
	movzx eax, byte [t_busy]
	SAME "caller stays busy", eax, 0x8b
	movzx eax, ACCESS(SEL_TSS2)
	SAME "iret clears the busy bit", eax, 0x89
	pushfd
	pop eax
	and eax, 0x4000
	EQUAL "call of a task and iret", eax, 0
	; the task goes on behind its IRET when it is called again
	call SEL_TSS2:0
	EQUAL "second call goes on behind iret", [t_round], 2

	; the same through a task gate
	call SEL_GATE:0
	EQUAL "task gate", [t_round], 3

	; an interrupt through a task gate, with and without error code
	mov eax, task_fault
	mov edi, TSS3
	mov ebx, STACK3
	call make_tss
	mov dword [idt + 13 * 8], SEL_TSS3 << 16
	mov dword [idt + 13 * 8 + 4], 0x8500
	mov ax, 0x1234
.fault:	mov fs, ax
.behind:
	SAME "fault by task gate: error code", [t_error], 0x1234
	SAME "fault by task gate: esp", [t_esp], STACK3 - 4
	mov eax, [tss + 0x20]
	EQUAL "fault by task gate: eip in the tss", eax, .fault + 2
	SETGATE idt + 13 * 8, SEL_CODE, vectors + 13 * VECTOR_SIZE, 0x8e, 0
	mov dword [idt + 0x60 * 8], SEL_TSS2 << 16
	mov dword [idt + 0x60 * 8 + 4], 0x8500
	int 0x60
	EQUAL "int by task gate", [t_round], 4

	; a double fault by task gate: the stack is unusable
	mov eax, task_double
	mov edi, TSS3
	mov ebx, STACK3
	call make_tss
	SETDESC SEL_TSS3, TSS3, 103, 0x89, 0
	mov dword [idt + 8 * 8], SEL_TSS3 << 16
	mov dword [idt + 8 * 8 + 4], 0x8500
	mov [keep_esp], esp
	mov byte [idt + 14 * 8 + 5], 0x0e	; no handlers for #NP and #GP
	mov byte [idt + 11 * 8 + 5], 0x0e
	mov byte [idt + 13 * 8 + 5], 0x0e
	mov ax, 0x1234
	mov fs, ax
.never:	mov dword [t_double], -1
.after_double:
	mov esp, [keep_esp]
	mov byte [idt + 14 * 8 + 5], 0x8e
	mov byte [idt + 11 * 8 + 5], 0x8e
	mov byte [idt + 13 * 8 + 5], 0x8e
	SAME "double fault by task gate: error code", [t_error], 0
	EQUAL "double fault by task gate", [t_double], 1
	SETGATE idt + 8 * 8, SEL_CODE, vectors + 8 * VECTOR_SIZE, 0x8e, 0

	; 16-bit TSS
	mov edi, TSS16
	xor eax, eax
	mov ecx, 11
	rep stosd
	mov word [TSS16 + 0x0e], task16 - task16_base
	mov word [TSS16 + 0x10], 2
	mov word [TSS16 + 0x12], 0x1616		; ax
	mov word [TSS16 + 0x1a], 0x6000		; sp
	mov word [TSS16 + 0x22], SEL_DATA	; es
	mov word [TSS16 + 0x24], SEL_CODE16
	mov word [TSS16 + 0x26], SEL_DATA16
	mov word [TSS16 + 0x28], SEL_DATA
	mov esi, task16_base
	mov edi, 0x5000
	mov ecx, task16_end - task16_base
	rep movsb
	mov word [TSS16 + 0x0e], 0x5000 + task16 - task16_base
	mov ebx, 0xb00b1234
	call SEL_TSS16:0
	SAME "16-bit task: ax", [0x5100], 0x1616
	movzx eax, word [TSS16]
	SAME "16-bit task: link", eax, SEL_TSS
	EQUAL "16-bit task and iret: ebx", ebx, 0xb00b1234

	; LDT of the task
	SETDESC SEL_LDT, ldt, 15, 0x82, 0
	mov eax, task_ldt
	mov edi, TSS2
	mov ebx, STACK2
	call make_tss
	mov dword [TSS2 + 0x60], SEL_LDT
	mov dword [TSS2 + 0x54], 4		; ds from the LDT
	call SEL_TSS2:0
	SAME "ds of the task", [t_eax], 4
	EQUAL "data through the task's ldt", [t_ebp], 0xfeedface

	; refused
	FAULTS "busy task", 13, SEL_TSS, jmp SEL_TSS:0
	FAULTS "tss too short", 10, SEL_SHORT, jmp SEL_SHORT:0
	mov ACCESS(SEL_TSS2), 0x09
	FAULTS "absent tss", 11, SEL_TSS2, jmp SEL_TSS2:0
	mov ACCESS(SEL_TSS2), 0x89
	FAULTS "ltr of a busy tss", 13, SEL_TSS, ltr [tss_selector]
	mov ACCESS(SEL_GATE), 0x05
	FAULTS "absent task gate", 11, SEL_GATE, jmp SEL_GATE:0
	; a bad segment in the new task is a #TS in its context
	mov eax, task_jmp
	mov edi, TSS2
	mov ebx, STACK2
	call make_tss
	mov dword [TSS2 + 0x54], 0x3000
	ARM .bad_ds
	jmp SEL_TSS2:0
.bad_ds:
	SAME "bad ds in the new task (error)", [seen_error], 0x3000
	SAME "bad ds in the new task (eip)", [seen_eip], task_jmp
	EQUAL "bad ds in the new task", [seen_vector], 10
	str ax
	movzx eax, ax
	EQUAL "the switch is done then", eax, SEL_TSS2
	ret

note:	; what the task sees
	mov [t_eax], eax
	mov [t_ebp], ebp
	pushfd
	pop dword [t_eflags]
	mov eax, cr0
	and eax, 8
	mov [t_ts], eax
	clts
	mov al, ACCESS(SEL_TSS)
	mov [t_busy], al
	ret

task_jmp:
	mov [t_esp], esp
	call note
	jmp SEL_TSS:0
task_call:
	mov [t_esp], esp
	call note
.again:	inc dword [t_round]
	iretd
	jmp .again
task_fault:
	mov [t_esp], esp
	pop dword [t_error]
	add dword [tss + 0x20], 2	; over the MOV
	iretd
	jmp task_fault
task_double:
	pop dword [t_error]
	mov dword [t_double], 1
	mov dword [tss + 0x20], main.after_double
	iretd
task_ldt:
	mov eax, ds
	mov [ss:t_eax], eax
	mov eax, [0]
	mov [ss:t_ebp], eax
	iretd
	bits 16
task16_base:
task16:
	mov [0x5100], ax
	mov word [0x5102], 0
	mov ebx, 0
	iret
task16_end:
	bits 32

	align 8
ldt:	DESC 0x100000 + secret - header, 3, 0x93, 0x40
	DESC 0, 0, 0, 0
tss_selector:	dw SEL_TSS, 0
t_eax:		dd 0
t_ebp:		dd 0
t_esp:		dd 0
t_eflags:	dd 0
t_ts:		dd 0
t_busy:		dd 0
t_round:	dd 0
t_error:	dd 0
t_double:	dd 0
keep_esp:	dd 0
secret:		dd 0xfeedface
END_OF_PROGRAM
