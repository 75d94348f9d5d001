# The completion of fish for the program that this file is named for, one of
# those of hermes-s6.

set -g __hermes_s6_helper (dirname (status filename))/../../hermes-s6/complete

function __hermes_s6
    set -l word (commandline -ct)
    set -l option (string match -r -- '^-.*=' $word; or echo)
    for line in ($__hermes_s6_helper (commandline -opc) $word)
        switch $line
            case '<directories>'
                printf '%s\n' $option(__fish_complete_directories (string replace -- "$option" '' $word))
            case '<files>'
                printf '%s\n' $option(__fish_complete_path (string replace -- "$option" '' $word))
            case '<users>'
                printf '%s\n' $option(__fish_complete_users)
            case '<more>'
            case '*'
                echo $line
        end
    end
end

complete -c (basename (status filename) .fish) -f -a '(__hermes_s6)'
