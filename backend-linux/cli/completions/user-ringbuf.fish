# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_user_ringbuf_global_optspecs
    string join \n json h/help V/version
end

function __fish_user_ringbuf_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_user_ringbuf_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_user_ringbuf_using_subcommand
    set -l cmd (__fish_user_ringbuf_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -s h -l help -d 'Print help'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -s V -l version -d 'Print version'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "probe" -d 'Show whether this kernel has user ring buffers, and whether this process may create one'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "demo" -d 'Publish samples through a ring made for the purpose, drain them in the kernel, and compare what the kernel saw'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "create" -d 'Create a ring and pin it on a bpffs, where it outlives this command'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "list" -d 'List every user ring buffer on the machine: size, bytes in use, verdict, producer, holders and pins'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "send" -d 'Send standard input into a ring, one sample per line or frame'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "drain" -d 'Drain a ring and write its samples to standard output'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "inspect" -d 'Show what is in a ring, who produces into it, whether it flows, and what to do if it does not'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "repair" -d 'Free a ring that a dead producer left stuck'
complete -c user-ringbuf -n "__fish_user_ringbuf_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand probe" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -l samples -d 'How many samples to publish' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -l size -d 'Size of each sample: bytes, or a number with K or M (KiB, MiB)' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -l ring -d 'Size of the ring: bytes, or a number with K, M or G (KiB, MiB, GiB). Rounded up to a power-of-two multiple of the page size, at most 2G' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -l backend -d 'Who drains the ring' -r -f -a "auto\t'The kernel if this process has the rights, else the simulation; standard error says which and why'
linux\t'The real kernel. Needs CAP_BPF'
sim\t'The simulated kernel, in this process. Needs no rights'"
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand create" -l pin -d 'Where to pin it: a new path on a bpffs, such as /sys/fs/bpf/ring. Its last name must not contain a dot' -r -F
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand create" -l size -d 'Size of the ring: bytes, or a number with K, M or G (KiB, MiB, GiB). Rounded up to a power-of-two multiple of the page size, at most 2G' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand create" -l name -d 'Name of the ring: at most 15 letters, digits, \'_\' and \'.\'' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand create" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l name -d 'List only rings with this name' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l every -d 'Milliseconds between looks' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l times -d 'Stop after this many looks' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l prometheus -d 'Print metrics in Prometheus\' text format, as node_exporter\'s textfile collector reads it'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l watch -d 'Look again and again, until interrupted: adds rates, and for how long a ring has been stuck. With --json, print one object per line'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l pin -d 'The ring pinned at this path on a bpffs' -r -F
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l id -d 'The ring with this map id. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l name -d 'The only ring with this name. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l framing -d 'How the input is cut into samples' -r -f -a "lines\t'One sample per line. The newline is not part of it; the last line needs none'
u32\t'One sample per frame: its length as a little-endian u32, then that many bytes'"
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l on-full -d 'What to do when the ring has no room for a sample' -r -f -a "wait\t'Wait until a program has drained the ring'
drop\t'Drop the sample, name it on standard error and go on; the exit status stays 0'
fail\t'Stop, with exit status 1'"
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l timeout -d 'How long to wait for room for one sample before giving up, such as 2 or 0.5. Without it, wait forever; after a second standard error says so' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l pin -d 'The ring pinned at this path on a bpffs' -r -F
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l id -d 'The ring with this map id. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l name -d 'The only ring with this name. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l framing -d 'How to write samples' -r -f -a "lines\t'Each sample and a newline'
u32\t'The sample\'s length as a little-endian u32, then its bytes'
hex\t'The sample\'s bytes as hexadecimal digits, one sample per line'"
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l every -d 'Milliseconds between drains of an empty ring' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l samples -d 'Stop after this many samples' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l follow -d 'Go on draining until interrupted'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l no-wakeup -d 'Do not wake producers that wait for room (BPF_RB_NO_WAKEUP)'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l force-wakeup -d 'Wake producers that wait for room even if nothing was drained (BPF_RB_FORCE_WAKEUP)'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l pin -d 'The ring pinned at this path on a bpffs' -r -F
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l id -d 'The ring with this map id. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l name -d 'The only ring with this name. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l records -d 'How many records to show at each end' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l every -d 'Milliseconds between looks' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l times -d 'Stop after this many looks' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l watch -d 'Look again and again, until interrupted. With --json, print one object per line'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l pin -d 'The ring pinned at this path on a bpffs' -r -F
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l id -d 'The ring with this map id. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l name -d 'The only ring with this name. Needs CAP_SYS_ADMIN' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l records -d 'How many repairs to list; the others are only counted' -r
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l dry-run -d 'Show what a repair would do without doing it. Maps nothing writable'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l producer-is-gone -d 'Confirm that no producer of this ring is alive in any process'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -l json -d 'Print JSON on standard output instead of text'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "probe" -d 'Show whether this kernel has user ring buffers, and whether this process may create one'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "demo" -d 'Publish samples through a ring made for the purpose, drain them in the kernel, and compare what the kernel saw'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "create" -d 'Create a ring and pin it on a bpffs, where it outlives this command'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "list" -d 'List every user ring buffer on the machine: size, bytes in use, verdict, producer, holders and pins'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "send" -d 'Send standard input into a ring, one sample per line or frame'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "drain" -d 'Drain a ring and write its samples to standard output'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "inspect" -d 'Show what is in a ring, who produces into it, whether it flows, and what to do if it does not'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "repair" -d 'Free a ring that a dead producer left stuck'
complete -c user-ringbuf -n "__fish_user_ringbuf_using_subcommand help; and not __fish_seen_subcommand_from probe demo create list send drain inspect repair help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
