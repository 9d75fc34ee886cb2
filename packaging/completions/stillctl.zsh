#compdef stillctl
# zsh completion for stillctl(1)

local -a __stillctl_daemon

# Names of VMs, worlds, debuggers, hooks or sources; nothing if no daemon answers. $@: the verb that lists them.
__stillctl_names() {
    local -a names
    names=(${(f)"$(_call_program names ${(q)words[1]} ${(q)__stillctl_daemon} ${(q)@} -o name 2>/dev/null)"})
    compadd -a names
}

__stillctl_vms() { __stillctl_names list }
__stillctl_all_vms() { __stillctl_names list -a }
__stillctl_worlds() { __stillctl_names world list }
__stillctl_debuggers() { __stillctl_names debugger list }
__stillctl_units() { __stillctl_names units }
__stillctl_breakpoints() { __stillctl_names break list }
__stillctl_hooks() { __stillctl_names audit show }
__stillctl_kinds() {
    _values -s , 'kind' new-global new-script enter-frame pop step debugger-statement exception-unwind new-promise \
        promise-settled
}

# Sources of the VM that was named before. $1: what follows in a place.
__stillctl_sources() {
    local -a urls
    urls=(${(f)"$(_call_program sources ${(q)words[1]} ${(q)__stillctl_daemon} source ${(q)line[1]} -o name 2>/dev/null)"})
    compadd -S "$1" -- ${urls:t}
}
__stillctl_places() { __stillctl_sources : }
__stillctl_urls() { __stillctl_sources '' }

_stillctl() {
    local curcontext=$curcontext state line verb i
    local -a global vm debugger page of_world steps
    local -A opt_args
    global=(
        '(-s --socket)'{-s,--socket}'[the control socket]:socket:_files'
        '--private[start a daemon for this call]'
        '--allow-degraded[let the private daemon do without parts of the sandbox]'
        '(-o --output)'{-o,--output}'[how to print]:format:(table json jsonl name)'
        '--no-legend[no column names and no summary]'
        '--color[when]:when:(auto always never)'
        '(-h --help)'{-h,--help}'[help for the verb]'
        '--version[the version of stillctl]'
    )
    debugger=('--debugger[act for it]:debugger:__stillctl_debuggers')
    vm=('1:VM:__stillctl_vms')
    page=('--depth[so many levels]:levels:' '--first[from this one]:number:'
        '(-n --variables)'{-n,--variables}'[only so many]:number:')
    of_world=('--deadline[for the arrivals]:duration:' '--wait[for other stops to end]:duration:' $debugger)
    steps=('--others[meanwhile]:what:(hold run)' '--timeout[then stop it]:duration:' $debugger)

    # The verb, and where its own words start.
    __stillctl_daemon=()
    verb=
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
        -s | --socket) __stillctl_daemon=(-s ${(Q)words[++i]}) ;;
        -o | --output | --color) ((i++)) ;;
        -*) ;;
        *)
            verb=$words[i]
            if [[ $verb == (world|debugger|break|audit|memory) ]] && ((i + 1 < CURRENT)); then
                verb+=" $words[++i]"
            fi
            break
            ;;
        esac
    done
    if [[ -n $verb ]]; then
        # As if the program were called by its verb.
        words=("$words[1]" "${(@)words[i+1,-1]}")
        ((CURRENT -= i - 1))
    fi

    case $verb in
    '')
        _arguments $global '1:verb:(run list status logs kill call send wait hold release units start stop restart
            enable disable check debug lldb break step next finish until
            continue bt locals inspect eval set source memory audit world debugger events top doctor version help)'
        ;;
    world) _arguments $global '1:verb:(list status stop resume gc census bt target take handover)' ;;
    debugger) _arguments $global '1:verb:(list open close)' ;;
    break) _arguments $global '1:verb:(add list rm)' ;;
    audit) _arguments $global '1:verb:(add list show tail rm)' ;;
    memory) _arguments $global '1:verb:(read write)' ;;
    run)
        _arguments $global '(-d --detach)'{-d,--detach}'[return when it is compiled]' '--ready[when it waits]' \
            '(-w --world)'{-w,--world}'[the world]:world:__stillctl_worlds' '--name[of the VM]:name:' \
            '--engine:engine:(mozjs)' '--memory:size:' '--cpu:percent:' '--timeout:duration:' '--cpu-time:duration:' \
            '--tasks:number:' '--output-rate:size:' '--log-size:size:' \
            '--debug[for debuggers]' '*--include[files for later imports]:glob:' '--exit-when-done' '*:file:_files'
        ;;
    list) _arguments $global '(-a --all)'{-a,--all}'[exited ones too]' '(-w --world)'{-w,--world}':world:__stillctl_worlds' \
        '(-l --label)'{-l,--label}':KEY[=VALUE]:' ;;
    status) _arguments $global '*:VM:__stillctl_all_vms' ;;
    wait) _arguments $global '--for:state:(exited idle stopped active)' '--timeout:duration:' '*:VM:__stillctl_all_vms' ;;
    logs) _arguments $global '(-f --follow)'{-f,--follow} '(-n --lines)'{-n,--lines}':records:' '1:VM:__stillctl_all_vms' ;;
    kill) _arguments $global '*:VM:__stillctl_vms' ;;
    units | start | stop | restart) _arguments $global '*:unit:__stillctl_units' ;;
    enable | disable) _arguments $global '--now[start or stop them, too]' '*:unit:__stillctl_units' ;;
    check) _arguments $global '*:file:_files' ;;
    hold | release) _arguments $global $debugger '*:VM:__stillctl_vms' ;;
    call) _arguments $global $vm '--timeout:duration:' '2:function:' '*:JSON:' ;;
    send) _arguments $global $vm '2:JSON:' ;;
    continue)
        _arguments $global $vm $debugger '--only[it alone]' '--until-still' '--on-exit:what:(stop resume)' \
            '--deadline:duration:' '(--throw --terminate)--return:expression:' '(--return --terminate)--throw:expression:' \
            '(--return --throw)--terminate'
        ;;
    debug | 'world target') _arguments $global $vm $debugger ;;
    lldb) _arguments $global '(-w --world)'{-w,--world}':world:__stillctl_worlds' '--policy:what:(resume hold)' $vm ;;
    'break add')
        _arguments $global $debugger '--if[only where it holds]:expression:' '--stop:what:(world vm none)' '--log:text:' \
            '--skip:hits:' '--count:hits:' '--note:text:' '--world:world:__stillctl_worlds' '--wait:duration:' \
            '--deadline:duration:' $vm '2:place:__stillctl_places'
        ;;
    'break list') _arguments $global $debugger $vm ;;
    'break rm') _arguments $global $debugger '--all' '*:hook:__stillctl_breakpoints' ;;
    step | next) _arguments $global $steps '--granularity:what:(statement op)' '--count:steps:' $vm ;;
    finish) _arguments $global $steps $vm ;;
    until) _arguments $global $steps $vm '2:place:__stillctl_places' ;;
    bt) _arguments $global '--first:frame:' '(-n --frames)'{-n,--frames}':frames:' $vm ;;
    locals) _arguments $global $page '--frame:frame:' $vm ;;
    inspect) _arguments $global $page $debugger '--getters[run them]' $vm '2:REF:' ;;
    eval) _arguments $global $debugger '--frame:frame:' '--realm:realm:' '--timeout:duration:' '--audited' $vm '2:expression:' ;;
    set) _arguments $global $debugger '--frame:frame:' '--timeout:duration:' $vm '2:name:' '3:expression:' ;;
    source) _arguments $global '--line[A-B]:lines:' $vm '2:URL:__stillctl_urls' ;;
    'memory read') _arguments $global $debugger '--memory:index:' '--frame:frame:' $vm '2:address:' '3:length:' ;;
    'memory write') _arguments $global $debugger '--memory:index:' '--frame:frame:' $vm '2:address:' '*:bytes:' ;;
    'audit add')
        _arguments $global $debugger '*--on[what]:kinds:__stillctl_kinds' '*--filter:KEY=VALUE:' '--budget:N/s:' \
            '*--capture:what:' '--stop:what:(world vm none)' '--keep[leave them there]' '--note:text:' \
            '--world:world:__stillctl_worlds' '--engine:engine:(mozjs)' '--granularity:what:(statement op)' \
            '--realm:realm:' '--frame:frame:' '--weak' '--wait:duration:' '--deadline:duration:' $vm
        ;;
    'audit list') _arguments $global $vm ;;
    'audit show') _arguments $global $debugger '*:hook:__stillctl_hooks' ;;
    'audit tail') _arguments $global '--from:sequence number:(now)' '(-f --follow)'{-f,--follow} '1:debugger:__stillctl_debuggers' ;;
    'audit rm') _arguments $global $debugger '--all' '*:hook:__stillctl_hooks' ;;
    'world stop')
        _arguments $global $of_world '--hold:duration:' '--enforce' '--require-idle' '--kill-late' '1:world:__stillctl_worlds'
        ;;
    'world gc' | 'world bt') _arguments $global $of_world '--timeout:duration:' '1:world:__stillctl_worlds' ;;
    'world census') _arguments $global $of_world '--timeout:duration:' '--top:classes:' '1:world:__stillctl_worlds' ;;
    'world take') _arguments $global $debugger '--steal' '--hold:duration:' '1:world:__stillctl_worlds' ;;
    'world status' | 'world resume') _arguments $global '1:world:__stillctl_worlds' ;;
    'world handover') _arguments $global '*:debugger:__stillctl_debuggers' ;;
    'debugger open') _arguments $global '--note:text:' '--policy:what:(hold resume)' '1:name:' ;;
    'debugger close') _arguments $global '1:debugger:__stillctl_debuggers' ;;
    events) _arguments $global '(-f --follow)'{-f,--follow} '--since[sequence number or duration]:since:' ;;
    top) _arguments $global '(-b --batch)'{-b,--batch} '(-n --looks)'{-n,--looks}':looks:' '(-d --delay)'{-d,--delay}':seconds:' ;;
    *) _arguments $global ;;
    esac
}

_stillctl "$@"
