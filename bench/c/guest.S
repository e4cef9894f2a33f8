/*
 * The guest of the measured VM: touches one large page of its memory all the time, and tells how long it stood. Loaded by QEMU as a
 * multiboot kernel (Multiboot Specification 0.6.96, 3.1). It computes in user mode, which every kind of KVM runs on the processor itself.
 *
 *   gcc -DTARGET=address -DSIZE=bytes of the large page
 *
 * Every 2^26 ticks of the time stamp counter or so one line on port 0xe9: "LONGEST NOW TICKS TOUCHES", sixteen hexadecimal digits each.
 * LONGEST is the longest time between two touches since the line before; TICKS is how long it computed since then, and TOUCHES how much.
 * The second small page of the large one is never touched: it is the one that counts as lost.
 */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_DATA 0x1b
#define USER_CODE 0x23
#define TASK 0x28
/* Present, writable, for user mode; in the last level a page of 2 MiB. */
#define TABLE 0x07
#define LARGE 0x87
/* Input and output allowed in user mode. */
#define USER_FLAGS 0x3002
#define LOAD 0x100000

.macro read_time to
  rdtsc
  shl $32, %rdx
  lea (%rdx, %rax), \to
.endm

.macro say character
  mov \character, %al
  out %al, $0xe9
.endm

.code32
.text
multiboot:
  .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
  .long multiboot, LOAD, end_of_file, end_of_memory, _start
.globl _start
_start:
  cli
  /* The first 4 GiB of addresses as they are, in pages of 2 MiB. */
  movl $pointers + TABLE, top
  mov $directories + TABLE, %eax
  mov $pointers, %edi
  mov $4, %ecx
1: mov %eax, (%edi)
  add $4096, %eax
  add $8, %edi
  loop 1b
  mov $LARGE, %eax
  mov $directories, %edi
  mov $2048, %ecx
1: mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  /* Long mode: AMD64 Architecture Programmer's Manual, volume 2, 14.6. */
  mov $top, %eax
  mov %eax, %cr3
  mov %cr4, %eax
  or $0x20, %eax
  mov %eax, %cr4
  mov $0xc0000080, %ecx
  rdmsr
  or $0x100, %eax
  wrmsr
  mov %cr0, %eax
  or $0x80000001, %eax
  mov %eax, %cr0
  mov $task, %eax
  mov %ax, task_descriptor + 2
  shr $16, %eax
  mov %al, task_descriptor + 4
  mov %ah, task_descriptor + 7
  lgdt descriptors_at
  ljmp $KERNEL_CODE, $long_mode

.code64
long_mode:
  mov $KERNEL_DATA, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $TASK, %ax
  ltr %ax
  mov $stack, %esp
  pushq $USER_DATA
  pushq $stack
  pushq $USER_FLAGS
  pushq $USER_CODE
  pushq $user
  iretq

/* rbp touches, r12 place in the large page, r13 longest time, r14 last touch, r15 last line */
user:
  xor %ebp, %ebp
  xor %r12d, %r12d
  xor %r13d, %r13d
  read_time %r14
  mov %r14, %r15
touch:
  inc %rbp
  mov $TARGET, %ebx
  mov (%rbx), %rax
  mov 8192(%rbx, %r12), %rax
  add $4096, %r12
  cmp $SIZE - 8192, %r12
  jb 1f
  xor %r12d, %r12d
1: read_time %rbx
  mov %rbx, %rax
  sub %r14, %rax
  mov %rbx, %r14
  cmp %r13, %rax
  jbe 1f
  mov %rax, %r13
1: mov %r14, %rax
  sub %r15, %rax
  cmp $0x4000000, %rax
  jb touch
  mov %r13, %rdi
  call say_number
  say $' '
  mov %r14, %rdi
  call say_number
  say $' '
  mov %r14, %rdi
  sub %r15, %rdi
  call say_number
  say $' '
  mov %rbp, %rdi
  call say_number
  say $'\n'
  jmp user

say_number:
  mov $16, %ecx
1: rol $4, %rdi
  mov %edi, %eax
  and $15, %eax
  movzbl digits(%rax), %eax
  out %al, $0xe9
  loop 1b
  ret

digits: .ascii "0123456789abcdef"
.balign 8
descriptors:
  .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cff2000000ffff, 0x00affa000000ffff
task_descriptor:
  .quad 0x0000890000000067, 0
descriptors_at:
  .word . - descriptors - 1
  .quad descriptors
end_of_file:

.bss
.balign 4096
top: .skip 4096
pointers: .skip 4096
directories: .skip 4 * 4096
task: .skip 104
.skip 4096
stack:
end_of_memory:
