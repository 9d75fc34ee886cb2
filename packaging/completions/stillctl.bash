# bash completion for stillctl(1)
# shellcheck shell=bash

# The global options that say which daemon is asked, as they stand on the command line.
__stillctl_daemon() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s | --socket)
            if ((i + 1 < COMP_CWORD)); then
                printf '%s\n' -s "${COMP_WORDS[i + 1]}"
            fi
            ;;
        esac
    done
}

# Names of VMs, worlds or debuggers; nothing if no daemon answers. $@: the verb that lists them.
__stillctl_names() {
    local daemon
    mapfile -t daemon < <(__stillctl_daemon)
    "${COMP_WORDS[0]/#\~/$HOME}" "${daemon[@]}" "$@" -o name 2>/dev/null
}

# compgen expands the words that it is given, commands in them too: they are ours, and nobody else's.
__stillctl_reply() {
    mapfile -t COMPREPLY < <(compgen "$@" -- "${COMP_WORDS[COMP_CWORD]}")
}

# What the daemon says, line by line, and perhaps what a guest has called its source: those that are the same
# word to a shell.
__stillctl_reply_lines() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        if [[ $word == "${COMP_WORDS[COMP_CWORD]}"* && $word =~ ^[A-Za-z0-9._/:@%+,=-]+$ ]]; then
            COMPREPLY+=("$word")
        fi
    done
}

# The verb, those of two words with both of them; and in __stillctl_args how many arguments follow it.
__stillctl_verb() {
    local i word verb=
    __stillctl_args=0
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -s | --socket | -o | --output | --color | -w | --world | -l | --label | --name | --engine | --memory | --cpu | \
            --tasks | --output-rate | --log-size | --timeout | --cpu-time | --include | -n | --lines | --for | --since | --deadline | --wait | \
            --hold | --debugger | --top | --on-exit | --note | --policy | --if | --stop | --log | --skip | --count | \
            --granularity | --others | --first | --frame | --realm | --depth | --line | --on | --filter | \
            --budget | --capture | --from | --return | --throw | --delay | --looks | --frames | --variables)
            ((i++))
            ;;
        -d) [[ $verb == top ]] && ((i++)) ;; # elsewhere it takes no value
        -*) ;;
        *)
            if [[ -z $verb ]]; then
                verb=$word
            elif [[ $verb == world || $verb == debugger || $verb == break || $verb == audit || $verb == memory ]]; then
                verb="$verb $word"
            else
                ((__stillctl_args++)) || __stillctl_first=$word
            fi
            ;;
        esac
    done
    __stillctl_found=$verb
}

__stillctl_options() {
    local global='-s --socket --private --allow-degraded -o --output --no-legend --color -h --help --version'
    case $1 in
    run)
        echo "$global -d --detach --ready -w --world --name --engine --memory --cpu --timeout" \
            "--cpu-time --tasks --output-rate --log-size --debug --include --exit-when-done"
        ;;
    list) echo "$global -a --all -w --world -l --label" ;;
    logs) echo "$global -f --follow -n --lines" ;;
    call) echo "$global --timeout" ;;
    wait) echo "$global --for --timeout" ;;
    events) echo "$global -f --follow --since" ;;
    hold | release) echo "$global --debugger" ;;
    enable | disable) echo "$global --now" ;;
    continue)
        echo "$global --only --until-still --on-exit --deadline --return --throw --terminate --debugger"
        ;;
    debug) echo "$global --debugger" ;;
    lldb) echo "$global --world --policy" ;;
    'break add') echo "$global --if --stop --log --skip --count --note --world --debugger --wait --deadline" ;;
    'break list' | 'audit show') echo "$global --debugger" ;;
    'break rm' | 'audit rm') echo "$global --all --debugger" ;;
    step | next) echo "$global --granularity --count --others --timeout --debugger" ;;
    finish | until) echo "$global --others --timeout --debugger" ;;
    bt) echo "$global --first -n --frames" ;;
    locals) echo "$global --frame --depth --first -n --variables" ;;
    inspect) echo "$global --getters --depth --first -n --variables --debugger" ;;
    eval) echo "$global --frame --realm --timeout --audited --debugger" ;;
    set) echo "$global --frame --timeout --debugger" ;;
    source) echo "$global --line" ;;
    'memory read' | 'memory write') echo "$global --memory --frame --debugger" ;;
    'audit add')
        echo "$global --on --filter --budget --capture --stop --keep --note --debugger --world --engine" \
            "--granularity --realm --frame --weak --wait --deadline"
        ;;
    'audit tail') echo "$global --from -f --follow" ;;
    top) echo "$global -b --batch -n --looks -d --delay" ;;
    'world stop')
        echo "$global --deadline --wait --hold --enforce --require-idle --kill-late --debugger"
        ;;
    'world gc' | 'world bt') echo "$global --deadline --wait --timeout --debugger" ;;
    'world census') echo "$global --deadline --wait --timeout --debugger --top" ;;
    'world take') echo "$global --steal --debugger --hold" ;;
    'debugger open') echo "$global --note --policy" ;;
    *) echo "$global" ;;
    esac
}

# The value of the option before the cursor. False: that word takes none.
__stillctl_value() {
    case $1 in
    -s | --socket) __stillctl_reply -f ;;
    -o | --output) __stillctl_reply -W 'table json jsonl name' ;;
    --color) __stillctl_reply -W 'auto always never' ;;
    --for) __stillctl_reply -W 'exited idle stopped active' ;;
    --engine) __stillctl_reply -W 'mozjs' ;;
    -w | --world) __stillctl_reply_lines < <(__stillctl_names world list) ;;
    --debugger) __stillctl_reply_lines < <(__stillctl_names debugger list) ;;
    --on-exit) __stillctl_reply -W 'stop resume' ;;
    --policy) __stillctl_reply -W 'hold resume' ;;
    --stop) __stillctl_reply -W 'world vm none' ;;
    --granularity) __stillctl_reply -W 'statement op' ;;
    --others) __stillctl_reply -W 'hold run' ;;
    --from) __stillctl_reply -W 'now' ;;
    --on) __stillctl_kinds ;;
    --filter)
        __stillctl_reply -W 'url= function= line= if= skip= count= thrown=yes wasm=yes'
        compopt -o nospace
        ;;
    --capture) __stillctl_reply -W 'stack=8 args no-value expr=' ;;
    --budget) __stillctl_reply -W '10/s 100/s 1000/s total=' ;;
    --name | --memory | --cpu | --tasks | --output-rate | --log-size | --timeout | --cpu-time | --include | -n | --lines | --since | --deadline | \
        --wait | --hold | --top | --note | --if | --log | --skip | --count | --first | --frame | --realm | --depth | \
        --line | --return | --throw | --delay | --looks | --frames | --variables | -l | --label) COMPREPLY=() ;;
    *) return 1 ;;
    esac
}

# Several kinds may stand there, with commas.
__stillctl_kinds() {
    local kinds='new-global new-script enter-frame pop step debugger-statement exception-unwind new-promise promise-settled'
    local current=${COMP_WORDS[COMP_CWORD]} before=
    [[ $current == *,* ]] && before=${current%,*},
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$kinds" -- "${current##*,}")
    compopt -o nospace
}

# Places in the sources of a VM that stands, as far as the file. A colon is a word of its own on the command line.
__stillctl_sources() {
    __stillctl_reply_lines < <(__stillctl_names source "$1" | sed 's|.*/||')
    if [[ $2 == place ]] && ((${#COMPREPLY[@]} > 0)); then
        COMPREPLY=("${COMPREPLY[@]/%/:}")
        compopt -o nospace
    fi
}

__stillctl_verbs='run list status logs kill call send wait hold release units start stop restart enable disable check debug lldb break step next finish until continue bt locals
    inspect eval set source memory audit world debugger events top doctor version'

__stillctl_argument() {
    case $1 in
    '') __stillctl_reply -W "$__stillctl_verbs help" ;;
    world) __stillctl_reply -W 'list status stop resume gc census bt target take handover' ;;
    debugger) __stillctl_reply -W 'list open close' ;;
    break) __stillctl_reply -W 'add list rm' ;;
    audit) __stillctl_reply -W 'add list show tail rm' ;;
    memory) __stillctl_reply -W 'read write' ;;
    help) __stillctl_reply -W "$__stillctl_verbs" ;;
    run) __stillctl_reply -f ;;
    kill | hold | release) __stillctl_reply_lines < <(__stillctl_names list) ;;
    status | wait) __stillctl_reply_lines < <(__stillctl_names list -a) ;;
    logs) ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names list -a) ;;
    debug | lldb | step | next | finish | bt | locals | inspect | eval | set | 'memory read' | 'memory write' | 'break list' | \
        'audit add' | 'audit list')
        ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names list)
        ;;
    'break add' | until | source)
        if ((__stillctl_args == 0)); then
            __stillctl_reply_lines < <(__stillctl_names list)
        elif ((__stillctl_args == 1)); then
            __stillctl_sources "$__stillctl_first" "$([[ $1 == source ]] || echo place)"
        fi
        ;;
    units | start | stop | restart | enable | disable) __stillctl_reply_lines < <(__stillctl_names units) ;;
    check) __stillctl_reply -f ;;
    'break rm') __stillctl_reply_lines < <(__stillctl_names break list) ;;
    'audit rm' | 'audit show') __stillctl_reply_lines < <(__stillctl_names audit show) ;;
    'audit tail') ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names debugger list) ;;
    call | send | continue | 'world target') ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names list) ;;
    'world status' | 'world stop' | 'world resume' | 'world gc' | 'world census' | 'world bt' | 'world take')
        ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names world list)
        ;;
    'world handover')
        __stillctl_reply_lines < <(((__stillctl_args == 0)) && __stillctl_names world list; __stillctl_names debugger list)
        ;;
    'debugger close') ((__stillctl_args == 0)) && __stillctl_reply_lines < <(__stillctl_names debugger list) ;;
    esac
}

_stillctl() {
    local current=${COMP_WORDS[COMP_CWORD]} __stillctl_args=0 __stillctl_found='' __stillctl_first=''
    COMPREPLY=()
    # "--for=id" comes as three words; what is completed is the part after the sign.
    if [[ $current == '=' ]]; then
        COMP_WORDS[COMP_CWORD]=
        __stillctl_value "${COMP_WORDS[COMP_CWORD - 1]}"
        return
    fi
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == '=' ]]; then
        __stillctl_value "${COMP_WORDS[COMP_CWORD - 2]}"
        return
    fi
    __stillctl_value "${COMP_WORDS[COMP_CWORD - 1]}" && return
    __stillctl_verb
    if [[ $__stillctl_found == run ]] && ((__stillctl_args > 0)); then
        __stillctl_reply -f
    elif [[ $current == -* ]]; then
        __stillctl_reply -W "$(__stillctl_options "$__stillctl_found")"
    else
        __stillctl_argument "$__stillctl_found"
    fi
}

complete -o filenames -o bashdefault -F _stillctl stillctl
